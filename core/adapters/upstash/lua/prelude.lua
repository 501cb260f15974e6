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

-- append: number the events after `last`, add them to the log, publish them as one message
-- (number, events; parted by the record separator, which JSON text never holds).
--   returns  the number of the last event
local function append(last)
  local count = #ARGV - 3
  for i = 1, count do
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', MAXLEN, string.format('%.0f-0', last + i), 'e', ARGV[i + 3])
  end
  if count > 0 then
    redis.call('PUBLISH', channel, string.format('%.0f\30', last + 1) .. table.concat(ARGV, '\30', 4))
  end
  if math.floor((last + count) / REFRESH) > math.floor(last / REFRESH) then
    redis.call('EXPIRE', KEYS[1], ttl)
    redis.call('EXPIRE', KEYS[2], ttl)
  end
  return last + count
end
