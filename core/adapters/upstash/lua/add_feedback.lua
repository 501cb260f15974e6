-- add_feedback: append feedback to the logs of tasks, each once by its subject and id: all of it, or none.
-- Ids are kept by the 32 days in which they came, so two hashes tell what came within the last 32.
--   KEYS     after the named ones, of each task its log, then of each subject of its feedback the ids of
--            the last 32 days and of these
--   args     tenant; batch: list of {task, subjects, items (list of the place of its subject, id and digest of each
--            feedback), most, most_bytes, most_tasks (that wait), most_listed (in all)}; both: these 32 days
--            have only begun, and a process whose clock is behind does not look there yet
--   texts    each feedback as JSON, those of the first task first
--   returns  {'ok', of each feedback 'new', 'known' or 'conflict'...}, {'too_much', task}, {'too_many_tasks'}
local KEPT_SECONDS = 65 * 86400
local WAITS = 1 -- see feedback.lua

-- known_of: of the ids of a task's subjects what each said, but for what was forgotten with the task
local function known_of(of, key)
  local forgotten, asked, known = tonumber(redis.call('HGET', TASKS, of.task .. '~') or 0), {}, {}
  for _, item in ipairs(of.items) do
    asked[item[1]] = asked[item[1]] or {}
    push(asked[item[1]], item[2])
  end
  for i = 1, #of.subjects do
    known[i] = {}
    for _, ids in ipairs({KEYS[key + 2 * i - 1], KEYS[key + 2 * i]}) do
      for id, value in pairs(read(ids, asked[i])) do
        local digest, number = string.match(value, '^(%S+) (%d+)$')
        if tonumber(number) > forgotten then -- guard: forgotten with the task
          known[i][id] = digest
        end
      end
    end
  end
  return known
end

local before = tonumber(redis.call('HGET', TASKS, '~bytes') or 0)
local bytes, waits, listed = before, redis.call('ZCOUNT', LISTED, WAITS, WAITS), redis.call('ZCARD', LISTED)
local reply, all_new, text, key = {'ok'}, {}, 0, 5
for _, of in ipairs(args.batch) do
  local known, new = known_of(of, key), {}
  for _, item in ipairs(of.items) do
    local subject, id, digest = unpack(item)
    local there = known[subject][id]
    text = text + 1
    if there then -- guard: there before
      push(reply, there == digest and 'known' or 'conflict')
    else
      push(reply, 'new')
      push(new, {subject, id, digest, TEXTS[text]})
      known[subject][id] = digest
      bytes = bytes + #TEXTS[text] + #of.subjects[subject]
    end
  end
  if #new > 0 then
    push(all_new, {of, key, new})
    if redis.call('XLEN', KEYS[key]) + #new > of.most or bytes > of.most_bytes then
      return {'too_much', of.task}
    end
    local place = redis.call('ZSCORE', LISTED, of.task)
    local takes = not place or tonumber(place) ~= WAITS
    if takes and waits >= of.most_tasks then -- guard: tasks that wait
      return {'too_much', of.task}
    end
    if not place and listed >= of.most_listed then -- guard: tasks in all
      return {'too_many_tasks'}
    end
    waits, listed = waits + (takes and 1 or 0), listed + (place and 0 or 1)
  end
  key = key + 1 + 2 * #of.subjects
end
for _, each in ipairs(all_new) do
  local of, first, new = unpack(each)
  for _, one in ipairs(new) do
    local subject, id, digest, said = unpack(one)
    local number = int_str(redis.call('HINCRBY', TASKS, of.task, 1))
    redis.call('XADD', KEYS[first], number .. '-0', 's', of.subjects[subject], 'f', said)
    for back = 0, args.both and 1 or 0 do
      redis.call('HSET', KEYS[first + 2 * subject - back], id, digest .. ' ' .. number)
    end
  end
  for i = args.both and 1 or 2, 2 * #of.subjects, args.both and 1 or 2 do
    redis.call('EXPIRE', KEYS[first + i], KEPT_SECONDS)
  end
  redis.call('ZADD', LISTED, WAITS, of.task)
  redis.call('ZADD', LEARNING, 'NX', int_str(now_ms()), of.task)
  redis.call('ZADD', LEARNING_INDEX, 'LT', int_str(now_ms()), args.tenant)
end
if bytes > before then
  redis.call('HINCRBY', TASKS, '~bytes', int_str(bytes - before))
end
return reply
