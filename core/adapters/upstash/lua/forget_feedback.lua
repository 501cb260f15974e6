-- forget_feedback: remove what a subject said, and have segments and models forget it; without a
-- subject remove all, which the caller has removed from there. A retraining that runs keeps its lease,
-- and has it begun anew when it ends.
--   args     tenant, task, subject or nothing; at_once: entries of one read
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
append('x', '')
if not args.subject then
  redis.call('ZADD', LISTED, 'XX', GOING, args.task)
else
  redis.call('ZADD', FORGOTTEN, int_str(now_ms()), args.subject)
  local due = redis.call('ZSCORE', LEARNING, MEMBER)
  if not (due and tonumber(due) > now_ms()) then -- guard: leased now
    redis.call('ZADD', LEARNING, 0, MEMBER) -- guard: at once
  end
end
return 'ok'
