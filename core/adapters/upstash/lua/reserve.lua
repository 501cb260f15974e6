-- reserve: hold the bound of a model call in every budget that it counts in, or in none, once; and never
-- one that was settled before, which nobody makes any more.
--   args     call: {number, bound, cell}; least: what it costs at least (nano-dollars); prices: the version
--            of the tenant's prices by which it is priced
--   returns  {'ok'}, {'fenced'}, {'expired'}, {'not_found'}, {'wrong_clock'}; {'refused', verdict, budget, headroom,
--            until_ms or '', what tells the budgets from later ones} as core/costs/budget.py has them
local RANK = {short = 1, held = 2, exhausted = 3, unpriced = 4}

-- verdict_of: what a hard budget says to a call; nothing if it has room
local function verdict_of(left, free, bound, least)
  if bound <= free then
    return nil
  end
  if bound <= left or (least > free and least <= left) then
    return 'held'
  end
  return least <= free and 'short' or 'exhausted'
end

-- refusal: why a call may not be made now; nothing if it may. Of several budgets the gravest counts.
local function refusal(call, accounts, found)
  local bound, worst, headroom = call.bound.cost_nanodollars or 0, nil, nil
  for _, account in ipairs(accounts) do
    local state = found[account.place[1]][account.place[2]]
    if account.budget.hard then
      local left = account.budget.limit - state.spent
      local free = left - state.held -- guard: what others hold
      local verdict = verdict_of(left, free, bound, args.least)
      if (call.bound.unpriced_calls or 0) > 0 then -- guard: nobody knows what it costs
        verdict = 'unpriced'
      end
      headroom = math.min(headroom or free, free)
      if verdict and (not worst or RANK[verdict] > RANK[worst.verdict]) then
        worst = {verdict = verdict, account = account, state = state}
      end
    end
  end
  return worst, headroom
end

-- hold: hold a call's bound in all its budgets
--   fields   of the flow's hash that are to be written
--   returns  why that is not possible, or nothing
local function hold(call, fields)
  local budgets, zone, prices, stored = budgets_of()
  local places = {}
  if prices ~= args.prices then -- guard: by the tenant's prices
    return {'refused', 'repriced', '', '0', '', ''}
  end
  local at = #budgets > 0 and now_ms() or 0 -- to ask for the time is a command
  local accounts = accounts_of(budgets, zone, {cell = call.cell, flow = args.flow, at = at})
  if #accounts == 0 then
    return nil
  end
  for _, account in ipairs(accounts) do
    push(places, account.place)
  end
  local found = states_of(places)
  for _, place in ipairs(places) do
    if not found[place[1]] then
      return {'wrong_clock'}
    end
  end
  local worst, headroom = refusal(call, accounts, found)
  if worst then -- guard: all or nothing
    local where, field = unpack(worst.account.place)
    local told = worst.verdict == 'exhausted' -- guard: somebody hears of it
      and tell_exhausted(field, worst.state, worst.account.budget, args.least, at)
    if worst.verdict == 'held' and not worst.state.wanted then
      worst.state.wanted = true -- guard: it holds nothing
      told = true
    end
    if told and redis.call('HSET', key_of(where), field, state_text(worst.state)) > 0 and where ~= 'flow' then
      redis.call('EXPIRE', key_of(where), STATE_SECONDS)
    end
    return {'refused', worst.verdict, worst.account.id, int_str(math.max(0, headroom)),
      worst.account.ends and int_str(worst.account.ends) or '', budgets_version(stored)}
  end
  for _, account in ipairs(accounts) do
    local state = found[account.place[1]][account.place[2]]
    state.held = state.held + call.bound.cost_nanodollars -- guard: it is held
    describe(state, account.budget)
  end
  keep_states(found, fields)
  call.holds = places
  return nil
end

local field, call = 'step:' .. args.step, args.call
local flow = read(FLOW, {'status', 'deadline', 'plan', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step
  or step.epoch ~= args.epoch -- guard: fence
  or step.state ~= 'running' -- guard: done, or ended with its flow
then
  return {'fenced'}
end
if not use_number(step, call.number) then -- guard: once
  return {'ok'}
end
if flow.deadline and over(flow.deadline, now_ms()) then -- guard: deadline
  return {'expired'}
end
local written = {}
local refused = hold(call, written)
if refused then
  return refused
end
step.calls = step.calls or {}
step.calls[args.call_id] = call
local plan = plan_of(flow.plan)
plan.calls[args.step] = (plan.calls[args.step] or 0) + 1
push(written, field, cjson.encode(step), 'plan', cjson.encode(plan))
redis.call('HSET', FLOW, unpack(written))
return {'ok'}
