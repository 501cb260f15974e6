#!lua flags=allow-key-locking
-- Shared by every script that changes a flow; each file below it is one operation.
--   KEYS[1], KEYS[2]  the flow's hash and its log
--   ARGV[1]           the channel that followers listen on
--   ARGV[2]           time to live of a flow's keys, in seconds
--   ARGV[3]           the operation's arguments, as JSON
--   ARGV[4..]         events, encoded, one each
local MAXLEN, REFRESH = 10000, 32
local channel, ttl, args = ARGV[1], tonumber(ARGV[2]), cjson.decode(ARGV[3])

-- The one place where a clock is read: leases are Redis' own time, so no worker's clock matters.
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

local function terminal(status)
  return status == 'succeeded' or status == 'failed' or status == 'cancelled'
end

-- delta: the STATE_DELTA event of a change to the public state, as core/flows.py shows it.
--   changes  path and new value (JSON text) in turn, e.g. {'/status', '"running"'}
local function delta(changes)
  local operations = {}
  for i = 1, #changes, 2 do
    operations[#operations + 1] =
      '{"op":"replace","path":"' .. changes[i] .. '","value":' .. changes[i + 1] .. '}'
  end
  return '{"type":"STATE_DELTA","delta":[' .. table.concat(operations, ',') .. ']}'
end

-- whole: a whole number as JSON, in all its digits
local function whole(number)
  return string.format('%.0f', number)
end

-- added: sums (JSON text, or nothing yet) with more added, as JSON text
local function added(sums, more)
  local total = cjson.decode(sums or '{}')
  for name, value in pairs(more or {}) do
    total[name] = (total[name] or 0) + value
  end
  return cjson.encode(total)
end

-- append: number the events after `last`, first those that were made here, add them to the log,
-- publish them as one message (number, events; parted by the record separator, which JSON text
-- never holds).
--   returns  the number of the last event
local function append(last, ...)
  local events = {...}
  for i = 4, #ARGV do
    events[#events + 1] = ARGV[i]
  end
  local count = #events
  for i, event in ipairs(events) do
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', MAXLEN, whole(last + i) .. '-0', 'e', event)
  end
  if count > 0 then
    redis.call('PUBLISH', channel, whole(last + 1) .. '\30' .. table.concat(events, '\30'))
  end
  if math.floor((last + count) / REFRESH) > math.floor(last / REFRESH) then
    redis.call('EXPIRE', KEYS[1], ttl)
    redis.call('EXPIRE', KEYS[2], ttl)
  end
  return last + count
end
