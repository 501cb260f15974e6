-- Shared by the scripts that change the feedback log of a task (core/learning/feedback.py).
--   TASKS      task -> number of its last entry; `TASK~` -> number up to which the task was forgotten, and
--              all ids with it; `~bytes` -> bytes that wait, of all tasks
--   FEEDBACK   stream: id `<number>-0`; s (the subject whose it is), f (JSON), or x: something was taken away
--   FORGOTTEN  zset of subjects that segments and models are to forget -> up to which number
--   LEARNING   task -> since when there is something to learn (ms), or until when it is leased
--   LEARNING_INDEX  tenant -> when to look into LEARNING; it may be early, never late (due.py)
--   LISTED     zset of tasks of which anything is kept -> WAITS: some of it here; STORED: all in segments;
--              GOING: it is forgotten here, and its objects are being removed
local WAITS, STORED, GOING = 1, 0, -1

-- due_at: have the task retrained by who looks at it then (ms), or later
local function due_at(ms)
  redis.call('ZADD', LEARNING, int_str(ms), args.task)
  redis.call('ZADD', LEARNING_INDEX, 'LT', int_str(ms), args.tenant)
end

-- append: one entry; returns its number
local function append(...)
  local number = redis.call('HINCRBY', TASKS, args.task, 1)
  redis.call('XADD', FEEDBACK, int_str(number) .. '-0', ...)
  return number
end

-- place_of: what LISTED says of the task, or nil
local function place_of()
  local place = redis.call('ZSCORE', LISTED, args.task)
  return place and tonumber(place) or nil
end

-- size_of: how many bytes an entry counts for
local function size_of(fields)
  local size = 0
  for i = 2, #fields, 2 do
    size = size + #fields[i]
  end
  return size
end

-- each_entry: call `visit` with the id and fields of all entries up to one, `step` at a time
local function each_entry(last, step, visit)
  local first = '-'
  repeat
    local found = redis.call('XRANGE', FEEDBACK, first, last, 'COUNT', step)
    for _, entry in ipairs(found) do
      visit(entry[1], entry[2])
      first = '(' .. entry[1]
    end
  until #found < step
end

local function subject_of(fields)
  return fields[1] == 's' and fields[2] or nil
end
