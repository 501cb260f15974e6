#!lua flags=allow-key-locking
-- Shared by every script that changes a flow; each file below it is one operation.
--   KEYS[1], KEYS[2]  the flow's hash and its log
--   ARGV[1]           the channel that followers listen on
--   ARGV[2]           time to live of a flow's keys, in seconds
--   ARGV[3]           the operation's arguments, as JSON
--   ARGV[4..]         events, encoded, one each
local MAXLEN, REFRESH, DAY_MS = 10000, 32, 86400000
local channel, ttl, args = ARGV[1], tonumber(ARGV[2]), cjson.decode(ARGV[3])

-- The one place where a clock is read: leases are Redis' own time, so no worker's clock matters.
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- over: whether a flow's time is over; one without a deadline has all the time
local function over(deadline, now)
  return deadline and now >= tonumber(deadline)
end

local function terminal(status)
  return status == 'succeeded' or status == 'failed' or status == 'cancelled'
end

-- put: append values to a list
local function put(list, ...)
  for _, value in ipairs({...}) do
    list[#list + 1] = value
  end
end

-- fields: the reply to HGETALL as a table; flat: the way back
local function fields(reply)
  local hash = {}
  for i = 1, #reply, 2 do
    hash[reply[i]] = reply[i + 1]
  end
  return hash
end

local function flat(hash)
  local reply = {}
  for name, value in pairs(hash) do
    put(reply, name, value)
  end
  return reply
end

-- set: write fields of the flow, name and value in turn; into `hash` too, where it is given
local function set(written, hash)
  redis.call('HSET', KEYS[1], unpack(written))
  for i = 1, hash and #written or 0, 2 do
    hash[written[i]] = tostring(written[i + 1])
  end
end

-- whole: a whole number as JSON, in all its digits
local function whole(number)
  return string.format('%.0f', number)
end

-- delta: the STATE_DELTA event of a change to the public state, as core/flows/state.py shows it.
--   changes    path and new value (JSON text) in turn, e.g. {'/status', '"running"'}
--   new_steps  the JSON texts of steps to add, or nothing
local function delta(changes, new_steps)
  local operations = {}
  for i = 1, #changes, 2 do
    put(operations, '{"op":"replace","path":"' .. changes[i] .. '","value":' .. changes[i + 1] .. '}')
  end
  for _, step in ipairs(new_steps or {}) do
    put(operations, '{"op":"add","path":"/steps/-","value":' .. step .. '}')
  end
  return '{"type":"STATE_DELTA","delta":[' .. table.concat(operations, ',') .. ']}'
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

-- keep: have a key live for so many seconds at least; a quarter more, so that not every call of
-- this has to write
local function keep(key, seconds)
  if redis.call('TTL', key) < seconds then
    redis.call('EXPIRE', key, math.ceil(seconds * 1.25))
  end
end

-- keep_waiting: a flow that waits writes nothing, and is to outlive the end of its time
local function keep_waiting(deadline, now, keys)
  local left = deadline and math.max(0, math.ceil((deadline - now) / 1000)) or 0
  for _, key in ipairs(keys) do
    keep(key, ttl + left)
  end
end
