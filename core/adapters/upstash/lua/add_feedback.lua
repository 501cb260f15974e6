-- add_feedback: append feedback to the logs of tasks, each once by its id: all of it, or none.
-- Ids are kept by the 32 days in which they came, so two sets tell what came within the last 32.
--   KEYS     after the named ones, of each task its log, the ids of the last 32 days and of these
--   args     tenant; batch: list of {task, ids and subjects, most, most_bytes, most_tasks (that wait),
--            most_listed (in all)}
--   texts    each feedback as JSON, those of the first task first
--   returns  {'ok', task and id of what was there before...}, {'too_much', task}, {'too_many_tasks'}
local KEPT_SECONDS = 65 * 86400
local WAITS = 1 -- see feedback.lua

-- known: of each id 1 where it is in a set; a whole file's thumbs are more than one command takes
local function known(key, ids)
  local found = {}
  for i = 1, #ids, CHUNK do
    local last = math.min(i + CHUNK - 1, #ids)
    for _, is_there in ipairs(redis.call('SMISMEMBER', key, unpack(ids, i, last))) do
      push(found, is_there)
    end
  end
  return found
end

local before = tonumber(redis.call('HGET', TASKS, '~bytes') or 0)
local bytes, waits, listed = before, redis.call('ZCOUNT', LISTED, WAITS, WAITS), redis.call('ZCARD', LISTED)
local reply, all_new, text = {'ok'}, {}, 0
for number, of in ipairs(args.batch) do
  local log, last_ids, these_ids = unpack(KEYS, 3 * number + 1, 3 * number + 3)
  local earlier, lately, new = known(last_ids, of.ids), known(these_ids, of.ids), {}
  for i, id in ipairs(of.ids) do
    text = text + 1
    if earlier[i] == 1 or lately[i] == 1 then -- guard: there before
      push(reply, of.task, id)
    else
      push(new, {id, of.subjects[i], TEXTS[text]})
      bytes = bytes + #TEXTS[text] + #of.subjects[i]
    end
  end
  if #new > 0 then
    push(all_new, {of.task, log, these_ids, new})
    if redis.call('XLEN', log) + #new > of.most or bytes > of.most_bytes then
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
end
for _, each in ipairs(all_new) do
  local task, log, these_ids, new = unpack(each)
  for _, one in ipairs(new) do
    local number = redis.call('HINCRBY', TASKS, task, 1)
    redis.call('XADD', log, int_str(number) .. '-0', 's', one[2], 'f', one[3])
    redis.call('SADD', these_ids, one[1])
  end
  redis.call('EXPIRE', these_ids, KEPT_SECONDS)
  redis.call('ZADD', LISTED, WAITS, task)
  redis.call('ZADD', LEARNING, 'NX', int_str(now_ms()), args.tenant .. ' ' .. task)
end
if bytes > before then
  redis.call('HINCRBY', TASKS, '~bytes', int_str(bytes - before))
end
return reply
