-- Shared by the scripts that count what model calls consumed.
--   a call    {number, bound, accounts}, in the record of its step under its id
--   accounts  {window, field} of each sum that the call adds to, e.g. {'day', 'model|crew|task'}
--   sums      core/costs/usage.py: name -> whole number
local SPEND_SECONDS = 400 * 86400

-- added: sums (JSON text, or nothing yet) with more added, as JSON text
local function added(before, ...)
  local total, parts = cjson.decode(before or '{}'), {}
  for _, more in ipairs({...}) do
    for name, value in pairs(more) do
      total[name] = (total[name] or 0) + value
    end
  end
  for name, value in pairs(total) do
    push(parts, '"' .. name .. '":' .. int_str(value)) -- guard: all digits
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- lost_calls: the calls of a step that were never settled, each with `used`. Nobody can know now what
-- they cost: they count at their bounds. The step remembers them (`lost`), and the day on which they are
-- counted: an answer that comes late corrects that.
local function lost_calls(step, now)
  local lost = {}
  for id, call in pairs(step.calls or {}) do
    call.used = call.bound
    call.used.lost_calls = (call.used.lost_calls or 0) + 1
    push(lost, call)
    step.lost = step.lost or {}
    step.lost[id] = {used = call.used, accounts = call.accounts, day = math.floor(now / DAY_MS)}
  end
  return lost
end

-- windows_of: the keys to count in, by window.
--   returns  nothing if the caller's clock is more than a day from Redis'
local function windows_of(now)
  local key = ({YESTERDAY, TODAY, TOMORROW})[math.floor(now / DAY_MS) - args.day + 2]
  return key and {day = key}
end

-- count: add calls, each with `used`, to all their accounts.
--   before   the flow's usage
--   returns  the flow's usage after it
local function count(calls, windows, before)
  local total, used = before, {}
  for _, call in ipairs(calls) do
    total = added(total, call.used)
    for _, account in ipairs(call.accounts) do
      local key, field = windows[account[1]], account[2]
      used[key] = used[key] or {}
      used[key][field] = used[key][field] or {}
      push(used[key][field], call.used)
    end
  end
  for key, by_field in pairs(used) do
    local fields, written = {}, {}
    for field in pairs(by_field) do
      push(fields, field)
    end
    local known = read(key, fields)
    for _, field in ipairs(fields) do
      push(written, field, added(known[field], unpack(by_field[field]))) -- guard: the calls before
    end
    if redis.call('HSET', key, unpack(written)) > 0 then
      redis.call('EXPIRE', key, SPEND_SECONDS)
    end
  end
  return total
end

-- charge: count calls, each with `used`, in the windows of this day and in the flow's usage. Comes
-- before all else that is written.
--   changes, fields  of the flow's state and hash: the usage is added to them
--   returns          false if this is not possible for the caller's wrong clock
local function charge(flow, now, calls, changes, fields)
  if #calls == 0 then
    return true
  end
  local windows = windows_of(now)
  if not windows then
    return false
  end
  local usage = count(calls, windows, flow.usage)
  push(changes, '/usage', usage)
  push(fields, 'usage', usage)
  return true
end
