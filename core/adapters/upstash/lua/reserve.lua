-- reserve: hold the bound of a model call in every budget that it counts in, or in none, once. Calls of
-- one attempt may come out of order, so the numbers that were passed over are remembered as skipped.
--   args     call: {number, bound, cell}; least: what it costs at least (nano-dollars); prices: the version
--            of the tenant's prices by which it is priced
--   returns  {'ok'}, {'fenced'}, {'expired'}, {'not_found'}, {'wrong_clock'}; {'refused', verdict, budget, headroom,
--            until_ms or ''} as core/costs/budget.py has them
local RANK = {short = 1, held = 2, exhausted = 3, unpriced = 4}

-- date_of: year, month and day of a day counted from 1970; after
-- http://howardhinnant.github.io/date_algorithms.html#civil_from_days
local function date_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
    - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  return yoe + era * 400 + (month <= 2 and 1 or 0), month, doy - math.floor((153 * mp + 2) / 5) + 1
end

local function offset_at(zone, time)
  local offset = zone.offsets[1][2]
  for _, change in ipairs(zone.offsets) do
    offset = change[1] <= time and change[2] or offset
  end
  return offset
end

-- windows_at: the tenant's day and month at a time, and when each ends
local function windows_at(zone, now)
  local offset = offset_at(zone, now)
  local day = math.floor((now + offset) / DAY_MS)
  local year, month, of_month = date_of(day)
  local _, _, beyond = date_of(day - of_month + 32) -- in the next month, on one of its first days
  local function ends(local_day)
    local at = local_day * DAY_MS
    return at - offset_at(zone, at - offset)
  end
  return {
    day = string.format('%04d-%02d-%02d', year, month, of_month),
    month = string.format('%04d-%02d', year, month),
    ends = {day = ends(day + 1), month = ends(day - of_month + 33 - beyond)},
  }
end

-- accounts_of: the budgets that a call counts in: list of {id, budget, place, window's end}; and the
-- version of the tenant's prices
local function accounts_of(call)
  local stored, budgets, zone, prices = redis.call('HGETALL', BUDGETS), {}, {offsets = {{0, 0}}}, 0
  for i = 1, #stored, 2 do
    if stored[i] == '~zone' then
      zone = cjson.decode(stored[i + 1])
    elseif stored[i] == '~prices' then
      prices = tonumber(stored[i + 1])
    else
      push(budgets, {id = stored[i], budget = cjson.decode(stored[i + 1])})
    end
  end
  local crew, _, agent, subject, model = unpack(call.cell)
  local values = {tenant = '', crew = crew, agent = agent, subject = subject, model = model, flow = args.flow}
  local windows, accounts = #budgets > 0 and windows_at(zone, now_ms()), {}
  for _, each in ipairs(budgets) do
    local scope, name, window = each.budget.scope, each.budget.name, each.budget.window
    local value = values[scope]
    if scope == 'tenant' or name == '*' or name == value then
      each.place = window == 'flow' and {'flow', 'budget:' .. each.id}
        or {windows.month, table.concat({each.id, windows[window], value}, '|')}
      each.ends = windows.ends[window]
      push(accounts, each) -- guard: every budget
    end
  end
  return accounts, prices
end

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
  local accounts, prices = accounts_of(call)
  local places = {}
  if prices ~= args.prices then -- guard: by the tenant's prices
    return {'refused', 'repriced', '', '0', ''}
  end
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
    if worst.verdict == 'held' and not worst.state.wanted then
      worst.state.wanted = true -- guard: it holds nothing
      local where, field = unpack(worst.account.place)
      redis.call('HSET', key_of(where), field, state_text(worst.state))
    end
    return {'refused', worst.verdict, worst.account.id, int_str(math.max(0, headroom)),
      worst.account.ends and int_str(worst.account.ends) or ''}
  end
  for _, account in ipairs(accounts) do
    local state = found[account.place[1]][account.place[2]]
    state.held = state.held + call.bound.cost_nanodollars -- guard: it is held
    state.limit, state.alerts = account.budget.limit, account.budget.alerts
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
local highest, skipped = step.reserved or 0, {}
local fresh = call.number > highest
for _, number in ipairs(step.skipped or {}) do
  if number == call.number then
    fresh = true -- guard: skipped
  else
    push(skipped, number)
  end
end
if not fresh then -- guard: once
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
for number = highest + 1, call.number - 1 do
  push(skipped, number)
end
step.reserved, step.skipped = math.max(highest, call.number), #skipped > 0 and skipped or nil
step.calls = step.calls or {}
step.calls[args.call_id] = call
local plan = plan_of(flow.plan)
plan.calls[args.step] = (plan.calls[args.step] or 0) + 1
push(written, field, cjson.encode(step), 'plan', cjson.encode(plan))
redis.call('HSET', FLOW, unpack(written))
return {'ok'}
