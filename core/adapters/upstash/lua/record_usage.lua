-- record_usage: count calls that were made elsewhere in the roll-ups of their hours, and in the budgets of
-- the windows in which they were made, each once by its id. None is refused: the money is gone.
-- Ids are kept by the 32 days in which they came, so two hashes tell what came within the last 32 days:
-- id -> digest of the call, then that of its batch, then `:` and its cost (nano-dollars), `u` where unpriced.
--   args     calls: list of {id, quarter (of an hour, since 1970), cell, used, facts, digest}, all of
--            args.day; batch: its digest; both: these 32 days have only begun, and a process whose clock is
--            behind does not look there yet
--   returns  of each call: 'new', 'known' or 'conflict'; the same for the same batch, however often it comes:
--            then 'new:' and its cost, as it was counted.
--            Of the first of them only, where all are too much work at once: the rest is for another run.
--            Then the events that tell how much of budgets is spent
local KEPT_SECONDS, QUARTER_MS = 65 * 86400, 900000 -- the clocks of all time zones are quarters apart
local MOST_WORK = 5000 -- budgets looked at, and states and alerts of them: some 40 ms
local ids = {}
for i, call in ipairs(args.calls) do
  ids[i] = call.id
end
local earlier = redis.call('HMGET', LAST_IDS, unpack(ids))
local lately = redis.call('HMGET', THESE_IDS, unpack(ids))
local fates, new, sums, by_hour = {}, {}, {}, {}
local budgets, zone, accounts, by_place, by_cell, work = nil, nil, {}, {}, {}, 0

-- summed: add a call to those of its hour and cell
local function summed(call)
  local hour = math.floor(call.quarter / 4)
  local key = int_str(hour) .. '|' .. cell_name(call.cell)
  local sum = sums[key]
  if not sum then
    sums[key], by_hour[hour] = call, by_hour[hour] or {}
    push(by_hour[hour], call)
    return
  end
  for _, part in ipairs({'used', 'facts'}) do
    for name, value in pairs(call[part]) do
      sum[part][name] = (sum[part][name] or 0) + value
    end
  end
end

-- accounts_at: the budgets that calls of this quarter and cell count in, each with what is spent of it
local function accounts_at(quarter, cell)
  local found = {}
  work = work + #budgets
  for _, each in ipairs(accounts_of(budgets, zone, {cell = cell, at = quarter * QUARTER_MS})) do
    local place = table.concat(each.place, '|')
    if not by_place[place] then
      by_place[place], each.nanodollars = each, 0
      push(accounts, each)
      work = work + 1 + #(each.budget.alerts or {})
    end
    push(found, by_place[place])
  end
  return found
end

-- account: add what a call cost to what is spent of the budgets that it counts in
local function account(call)
  if not budgets then
    budgets, zone = budgets_of()
  end
  if #budgets == 0 then
    return
  end
  local at = int_str(call.quarter) .. '|' .. cell_name(call.cell)
  by_cell[at] = by_cell[at] or accounts_at(call.quarter, call.cell)
  for _, each in ipairs(by_cell[at]) do
    each.nanodollars = each.nanodollars + (call.used.cost_nanodollars or 0)
  end
end

-- spend_budgets: count what was spent in the budgets that it counts in; the events that tell of it
local function spend_budgets()
  local places, alerts = {}, {}
  for _, each in ipairs(accounts) do
    push(places, each.place)
  end
  local found, now = states_of(places), now_ms()
  for _, each in ipairs(accounts) do
    local where, field = unpack(each.place)
    local state = found[where] and found[where][field]
    if state then
      state.spent = state.spent + each.nanodollars -- guard: spent elsewhere
      describe(state, each.budget)
      tell_alerts(alerts, field, state, now)
    end
  end
  keep_states(found)
  return alerts
end

-- fate_of: what is told of a call whose id stands for `known`
local function fate_of(call, known)
  local own = call.digest .. args.batch
  if string.sub(known, 1, #own) == own then -- guard: its own batch, sent again
    return 'new' .. string.sub(known, #own + 1)
  end
  return string.sub(known, 1, #call.digest) == call.digest and 'known' or 'conflict'
end

for i, call in ipairs(args.calls) do
  local known = lately[i] or earlier[i]
  if known then -- guard: counted before
    fates[i] = fate_of(call, known)
  elseif work >= MOST_WORK then -- others wait for a script
    break
  else
    fates[i] = 'new'
    push(new, call.id)
    push(new, call.digest .. args.batch .. ':' .. int_str(call.used.cost_nanodollars or 0)
      .. ((call.used.unpriced_calls or 0) > 0 and 'u' or ''))
    account(call)
    summed(call)
  end
end
local alerts = {}
if #new > 0 then
  for hour, calls in pairs(by_hour) do
    spend(hour, calls)
  end
  alerts = spend_budgets()
  for _, key in ipairs(args.both and {LAST_IDS, THESE_IDS} or {THESE_IDS}) do
    redis.call('HSET', key, unpack(new))
    redis.call('EXPIRE', key, KEPT_SECONDS)
  end
end
return {fates, alerts}
