-- record_usage: count calls that were made elsewhere in the roll-ups of their hours, and in the budgets of
-- the windows in which they were made, each once by its id. None is refused: the money is gone.
-- Ids are kept by the 32 days in which they came, so two hashes tell what came within the last 32 days:
-- id -> digest of the call, then that of its batch.
--   args     calls: list of {id, quarter (of an hour, since 1970), cell, used, facts, digest}, all of
--            args.day; batch: its digest
--   returns  of each call: 'new', 'known' or 'conflict'; the same for the same batch, however often it comes.
--            Then the events that tell how much of budgets is spent
local KEPT_SECONDS, QUARTER_MS = 65 * 86400, 900000 -- the clocks of all time zones are quarters apart
local ids = {}
for i, call in ipairs(args.calls) do
  ids[i] = call.id
end
local earlier = redis.call('HMGET', LAST_IDS, unpack(ids))
local lately = redis.call('HMGET', THESE_IDS, unpack(ids))
local fates, new, sums, by_hour, costs = {}, {}, {}, {}, {}

-- summed: add a call to those of its hour and cell, and its cost to that of its quarter and cell
local function summed(call)
  local hour, cell = math.floor(call.quarter / 4), cell_name(call.cell)
  local key, quarter = int_str(hour) .. '|' .. cell, int_str(call.quarter) .. '|' .. cell
  local sum, cost = sums[key], costs[quarter]
  if not cost then
    cost = {cell = call.cell, at = call.quarter * QUARTER_MS, nanodollars = 0}
    costs[quarter] = cost
  end
  cost.nanodollars = cost.nanodollars + (call.used.cost_nanodollars or 0)
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

-- spend_budgets: count what was spent in the budgets that it counts in; the events that tell of it
local function spend_budgets()
  local budgets, zone = budgets_of()
  local accounts, places, alerts = {}, {}, {}
  for _, cost in pairs(#budgets > 0 and costs or {}) do
    for _, account in ipairs(accounts_of(budgets, zone, cost)) do
      account.nanodollars = cost.nanodollars
      push(accounts, account)
      push(places, account.place)
    end
  end
  local found, now = states_of(places), now_ms()
  for _, account in ipairs(accounts) do
    local where, field = unpack(account.place)
    local state = found[where] and found[where][field]
    if state then
      state.spent = state.spent + account.nanodollars -- guard: spent elsewhere
      describe(state, account.budget)
      tell_alerts(alerts, field, state, now)
    end
  end
  keep_states(found)
  return alerts
end

-- fate_of: what is told of a call whose id stands for `known`
local function fate_of(call, known)
  if known == call.digest .. args.batch then -- guard: its own batch, sent again
    return 'new'
  end
  return string.sub(known, 1, #call.digest) == call.digest and 'known' or 'conflict'
end

for i, call in ipairs(args.calls) do
  local known = lately[i] or earlier[i]
  if known then -- guard: counted before
    fates[i] = fate_of(call, known)
  else
    fates[i] = 'new'
    push(new, call.id)
    push(new, call.digest .. args.batch)
    summed(call)
  end
end
local alerts = {}
if #new > 0 then
  for hour, calls in pairs(by_hour) do
    spend(hour, calls)
  end
  alerts = spend_budgets()
  redis.call('HSET', THESE_IDS, unpack(new))
  redis.call('EXPIRE', THESE_IDS, KEPT_SECONDS)
end
return {fates, alerts}
