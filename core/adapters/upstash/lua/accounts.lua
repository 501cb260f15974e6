-- Shared by the scripts that count a call in budgets: which these are, and in what window of each.
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

-- offset_at: how far the clocks of a time zone are ahead of UTC
local function offset_at(zone, time)
  local offset = zone.offsets[1][2]
  for _, change in ipairs(zone.offsets) do
    offset = change[1] <= time and change[2] or offset
  end
  return offset
end

-- first_at: when the clocks of a time zone first show a local time, or leap over it
local function first_at(zone, time)
  for i, change in ipairs(zone.offsets) do
    local at, next_change = math.max(change[1], time - change[2]), zone.offsets[i + 1]
    if not next_change or at < next_change[1] then
      return at
    end
  end
end

-- windows_at: the tenant's day and month at a time, and when each ends; that of a flow has no end
local function windows_at(zone, now)
  local offset = offset_at(zone, now)
  local day = math.floor((now + offset) / DAY_MS)
  local year, month, of_month = date_of(day)
  local _, _, beyond = date_of(day - of_month + 32) -- in the next month, on one of its first days
  return {
    flow = 'flow',
    day = string.format('%04d-%02d-%02d', year, month, of_month),
    month = string.format('%04d-%02d', year, month),
    ends = {
      day = first_at(zone, (day + 1) * DAY_MS),
      month = first_at(zone, (day - of_month + 33 - beyond) * DAY_MS),
    },
  }
end

-- budgets_of: the tenant's budgets: list of {id, budget}; its time zone, the version of its prices, and all
-- that is stored of them
local function budgets_of()
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
  return budgets, zone, prices, stored
end

local WINDOWS = {} -- by time: those of calls of the same time are the same

-- accounts_of: the budgets that a call counts in: list of {id, budget, place, window's end}
--   call     {cell, flow (nothing for one made elsewhere), at (ms)}
local function accounts_of(budgets, zone, call)
  local crew, _, agent, subject, model = unpack(call.cell)
  local values = {tenant = '', crew = crew, agent = agent, subject = subject, model = model, flow = call.flow}
  if #budgets > 0 and not WINDOWS[call.at] then
    WINDOWS[call.at] = windows_at(zone, call.at)
  end
  local windows, accounts = WINDOWS[call.at], {}
  for _, each in ipairs(budgets) do
    local scope, name, window = each.budget.scope, each.budget.name, each.budget.window
    local value = values[scope]
    if (scope == 'tenant' or name == '*' or name == value)
      and (call.flow or window ~= 'flow')
    then
      local account = table.concat({each.id, windows[window], value}, '|') -- guard: each name by itself
      local place = window == 'flow' and {'flow', 'budget:' .. account} or {windows.month, account}
      push(accounts, {id = each.id, budget = each.budget, place = place, ends = windows.ends[window]}) -- guard: every budget
    end
  end
  return accounts
end
