-- forget_feedback: remove what a subject said, with its ids, and have segments and models forget it; without
-- a subject remove all, which the caller has removed from there. What is said later stays, under the same
-- ids, too. A retraining that runs keeps its lease, and has it begun anew when it ends.
--   KEYS     after the named ones the ids of the subject
--   args     tenant, task, subject or nothing; at_once: entries of one read
local NAMED = 6
local gone, freed = {}, 0
each_entry('+', args.at_once, function(id, fields)
  if not args.subject or subject_of(fields) == args.subject then
    push(gone, id)
    freed = freed + size_of(fields)
  end
end)
run_chunked('XDEL', FEEDBACK, gone)
if freed > 0 then
  redis.call('HINCRBY', TASKS, '~bytes', int_str(-freed))
end
local number = int_str(append('x', ''))
if not args.subject then
  redis.call('HSET', TASKS, args.task .. '~', number)
  redis.call('ZADD', LISTED, 'XX', GOING, args.task)
else
  for i = NAMED + 1, #KEYS do
    redis.call('DEL', KEYS[i]) -- guard: its ids
  end
  redis.call('ZADD', FORGOTTEN, number, args.subject)
  local due = redis.call('ZSCORE', LEARNING, args.task)
  if not (due and tonumber(due) > now_ms()) then -- guard: leased now
    due_at(0) -- guard: at once
  end
end
return 'ok'
