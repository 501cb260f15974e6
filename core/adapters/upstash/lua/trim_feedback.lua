-- trim_feedback: remove entries that a segment holds now. Whoever retrains the task has yet to learn
-- them, so its lease stays as it is.
--   args     tenant, task; through: the number of the last one to remove
local STEP = 500
local freed = 0
each_entry(int_str(args.through) .. '-0', STEP, function(_, fields)
  freed = freed + size_of(fields)
end)
if freed > 0 then
  redis.call('HINCRBY', TASKS, '~bytes', int_str(-freed))
end
redis.call('XTRIM', FEEDBACK, 'MINID', int_str(args.through + 1) .. '-0')
if redis.call('XLEN', FEEDBACK) == 0 and place_of() == WAITS then -- guard: is not going
  redis.call('ZADD', LISTED, STORED, args.task)
end
return 'ok'
