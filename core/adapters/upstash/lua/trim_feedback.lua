-- trim_feedback: remove entries that a segment holds now; what came since is to be learnt next.
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
if redis.call('XLEN', FEEDBACK) == 0 and redis.call('ZCARD', FORGOTTEN) == 0 then
  redis.call('ZREM', LEARNING, MEMBER)
else
  redis.call('ZADD', LEARNING, int_str(now_ms()), MEMBER)
end
return 'ok'
