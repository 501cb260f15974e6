-- add_feedback: append feedback to the log of a task, each once by its id.
-- Ids are kept by the 32 days in which they came, so two sets tell what came within the last 32.
--   args     tenant, task, ids and subjects, as many as texts; most, most_bytes, most_tasks (that wait),
--            most_listed (in all)
--   texts    each feedback as JSON
--   returns  {'ok', the ids that were there before...}, {'too_much'}, {'too_many_tasks'}
local KEPT_SECONDS = 65 * 86400

-- known: of each id 1 where it is in a set; a whole file's thumbs are more than one command takes
local function known(key)
  local found = {}
  for i = 1, #args.ids, CHUNK do
    local last = math.min(i + CHUNK - 1, #args.ids)
    for _, is_there in ipairs(redis.call('SMISMEMBER', key, unpack(args.ids, i, last))) do
      push(found, is_there)
    end
  end
  return found
end

local earlier, lately = known(LAST_IDS), known(THESE_IDS)
local reply, new, size = {'ok'}, {}, 0
for i, id in ipairs(args.ids) do
  if earlier[i] == 1 or lately[i] == 1 then -- guard: there before
    push(reply, id)
  else
    push(new, i)
    size = size + #TEXTS[i] + #args.subjects[i]
  end
end
if #new == 0 then
  return reply
end
local waiting = tonumber(redis.call('HGET', TASKS, '~bytes') or 0)
if redis.call('XLEN', FEEDBACK) + #new > args.most or waiting + size > args.most_bytes then
  return {'too_much'}
end
local place = place_of()
if place ~= WAITS and redis.call('ZCOUNT', LISTED, WAITS, WAITS) >= args.most_tasks then -- guard: tasks that wait
  return {'too_much'}
end
if not place and redis.call('ZCARD', LISTED) >= args.most_listed then -- guard: tasks in all
  return {'too_many_tasks'}
end
for _, i in ipairs(new) do
  append('s', args.subjects[i], 'f', TEXTS[i])
  redis.call('SADD', THESE_IDS, args.ids[i])
end
redis.call('EXPIRE', THESE_IDS, KEPT_SECONDS)
redis.call('HINCRBY', TASKS, '~bytes', int_str(size))
redis.call('ZADD', LISTED, WAITS, args.task)
redis.call('ZADD', LEARNING, 'NX', int_str(now_ms()), MEMBER)
return reply
