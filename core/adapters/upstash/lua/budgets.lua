-- Shared by the scripts that hold and spend the money of budgets (core/costs/budget.py).
--   BUDGETS   id -> definition, as JSON; `~zone` -> {offsets: {{from_ms, offset_ms}, ...}}
--   a state   {spent, held, told, limit, alerts, stopped, wanted, hooked}: of one budget in one window,
--             under one name. told: the highest percentage that was told of this limit; stopped: the limit of
--             which it was told that it refuses calls; wanted: whether somebody waits for money; hooked:
--             whether its alerts are sent to an address
--   a place   {where, field} of a state: {'flow', 'budget:id|flow|name'} in the flow's hash, or
--             {month, 'id|window|name'} in that of a month, e.g. {'2026-11', 'b1|2026-11-27|'}
--   a call    has `holds`, the places of all budgets that it counts in, and its bound is held there
local MONTH_KEYS = {BUDGETS_BEFORE, BUDGETS_NOW, BUDGETS_AFTER} -- of args.months
local STATE_SECONDS = 80 * 86400 -- 40 days at least after the end of a month

-- key_of: the hash that a state is in, if it is one of the keys that were declared
local function key_of(where)
  if where == 'flow' then
    return FLOW
  end
  for i, month in ipairs(args.months) do
    if month == where then
      return MONTH_KEYS[i]
    end
  end
end

-- budgets_version: what tells a tenant's budgets, time zone and prices from what they were before
local function budgets_version(stored)
  return redis.sha1hex(table.concat(stored, '\30'))
end

-- states_of: the states at these places, by where and field. Those of a month that is long over are
-- left out: nobody asks for them any more.
local function states_of(places)
  local fields, found = {}, {}
  for _, place in ipairs(places) do
    fields[place[1]] = fields[place[1]] or {}
    push(fields[place[1]], place[2])
  end
  for where, names in pairs(fields) do
    if key_of(where) then
      local stored = read(key_of(where), names)
      found[where] = {}
      for _, name in ipairs(names) do
        found[where][name] = stored[name] and cjson.decode(stored[name]) or {spent = 0, held = 0, told = 0}
      end
    end
  end
  return found
end

local function state_text(state)
  local parts = {}
  for _, name in ipairs({'spent', 'held', 'told', 'limit'}) do
    push(parts, '"' .. name .. '":' .. int_str(state[name] or 0))
  end
  if state.stopped then
    push(parts, '"stopped":' .. int_str(state.stopped))
  end
  if state.alerts and #state.alerts > 0 then
    push(parts, '"alerts":' .. cjson.encode(state.alerts))
  end
  for _, name in ipairs({'wanted', 'hooked'}) do
    if state[name] then
      push(parts, '"' .. name .. '":true')
    end
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- keep_states: store states; those of the flow go to the fields of its hash that are to be written
local function keep_states(found, fields)
  for where, states in pairs(found) do
    local written = where == 'flow' and fields or {}
    for field, state in pairs(states) do
      push(written, field, state_text(state))
    end
    if where ~= 'flow' and run_chunked('HSET', key_of(where), written) > 0 then
      redis.call('EXPIRE', key_of(where), STATE_SECONDS)
    end
  end
end

-- alert: the event that tells of a budget: how much is spent, and more
--   kind     its name; more: list of members, as JSON text
local function alert(kind, field, state, more, now)
  local id, window, name = field:gsub('^budget:', ''):match('^([^|]*)|([^|]*)|(.*)$')
  local value = {'"budget":' .. cjson.encode(id), '"window":' .. cjson.encode(window),
    '"name":' .. cjson.encode(name), '"spent_nanodollars":' .. int_str(state.spent),
    '"limit_nanodollars":' .. int_str(state.limit), unpack(more)}
  return '{"type":"CUSTOM","name":"' .. kind .. '","value":{' .. table.concat(value, ',')
    .. '},"timestamp":' .. int_str(now) .. '}'
end

-- queue_alert: have an alert sent to its budget's address. Its name in the outbox is no flow's.
--   what     tells it from the others of this limit: the percentage, or a word
local function queue_alert(field, state, what, event, now)
  local of_flow = field:sub(1, 7) == 'budget:' and args.flow .. '|' or ''
  local name = '~' .. field .. '|' .. of_flow .. int_str(state.limit) .. '|' .. what
  redis.call('HSET', DELIVERIES, name, cjson.encode({epoch = 0, alert = event}))
  redis.call('ZADD', OUTBOX, int_str(now), name)
  redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(now), args.tenant) -- guard: it is sent now
end

-- describe: what a state has of its budget's definition, so that it can be settled without
local function describe(state, budget)
  if state.limit and state.limit ~= budget.limit then
    state.told = 0 -- guard: of the other limit
  end
  state.limit, state.alerts = budget.limit, budget.alerts
  state.hooked = budget.webhook and true or nil
end

-- tell_alerts: what of its limit a budget has spent for the first time in this window. Its address is
-- told of the highest percentage alone, since nothing keeps webhooks of one time in order.
local function tell_alerts(alerts, field, state, now)
  local before = state.told
  for _, percent in ipairs(state.alerts or {}) do
    if percent > state.told and state.spent * 100 >= state.limit * percent then -- guard: told once
      state.told = percent
      push(alerts, alert('budget_alert', field, state, {'"percent":' .. int_str(percent)}, now))
    end
  end
  if state.hooked and state.told > before then
    queue_alert(field, state, int_str(state.told), alerts[#alerts], now)
  end
end

-- tell_exhausted: tell the budget's address that it refuses calls, once in a window of each limit
--   needed   what the call would need (nano-dollars)
--   returns  whether it is told now
local function tell_exhausted(field, state, budget, needed, now)
  if not budget.webhook or state.stopped == budget.limit then -- guard: told of once
    return false
  end
  describe(state, budget)
  state.stopped = budget.limit
  local left = math.max(0, state.limit - state.spent)
  local more = {'"needed_nanodollars":' .. int_str(needed), '"left_nanodollars":' .. int_str(left)}
  queue_alert(field, state, 'exhausted', alert('budget_exhausted', field, state, more, now), now)
  return true
end

-- spend_holds: what calls hold in budgets becomes what they have spent.
--   moves    list of {holds, free (what is no longer held), spend}
--   fields   of the flow's hash that are to be written
--   returns  the events that tell how much is spent
local function spend_holds(moves, fields, now)
  local places, alerts, freed = {}, {}, false
  for _, move in ipairs(moves) do
    for _, place in ipairs(move.holds or {}) do
      push(places, place)
    end
  end
  if #places == 0 then
    return alerts
  end
  local found = states_of(places)
  for _, move in ipairs(moves) do
    for _, place in ipairs(move.holds or {}) do
      local state = found[place[1]] and found[place[1]][place[2]]
      if state then
        state.held = math.max(0, state.held - move.free)
        state.spent = state.spent + move.spend -- guard: it is spent
        freed = freed or state.wanted
        state.wanted = nil
        tell_alerts(alerts, place[2], state, now)
      end
    end
  end
  keep_states(found, fields)
  if freed then -- guard: who waits hears of it
    redis.call('PUBLISH', args.settles, '')
  end
  return alerts
end
