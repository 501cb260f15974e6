#!lua flags=allow-key-locking
-- In front of every script. Each file is one operation; scripts/ has its signature:
--   KEYS                 the keys, in the signature's order, which are constants, too: `due` is DUE
--   ARGV[1]              the small arguments, as JSON
--   ARGV[2], ARGV[3..]   how many texts follow, and the texts: values too large to stand in JSON
--   then                 events, each as its type and its JSON
local args, TEXTS = cjson.decode(ARGV[1]), {}
local FIRST_EVENT = 3 + ARGV[2]
for i = 3, FIRST_EVENT - 1 do
  TEXTS[#TEXTS + 1] = ARGV[i]
end
local CHUNK = 2000 -- values in one command: `unpack` takes some 8,000
local DAY_MS = 86400000

-- The one place where a clock is read: leases are Redis' own time, so no worker's clock matters.
local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- push: append values to a list
local function push(list, ...)
  for _, value in ipairs({...}) do
    list[#list + 1] = value
  end
end

-- int_str: a whole number in all its digits
local function int_str(number)
  return string.format('%.0f', number)
end

-- run_chunked: a command with any number of values; an even number of them goes at once
--   returns  the sum of its replies, which are numbers
local function run_chunked(command, key, values)
  local sum = 0
  for i = 1, #values, CHUNK do
    sum = sum + redis.call(command, key, unpack(values, i, math.min(i + CHUNK - 1, #values)))
  end
  return sum
end

-- read: the fields of a hash that are named, as a table; one that is missing is nil
local function read(key, names)
  local found = {}
  for i = 1, #names, CHUNK do
    local values = redis.call('HMGET', key, unpack(names, i, math.min(i + CHUNK - 1, #names)))
    for j, value in ipairs(values) do
      found[names[i + j - 1]] = value or nil
    end
  end
  return found
end
