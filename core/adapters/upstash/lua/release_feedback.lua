-- release_feedback: give a task back whose retraining has come to its end; what came meanwhile is
-- to be learnt next.
--   args     tenant, task; until_ms: the lease, as it was given
local due = redis.call('ZSCORE', LEARNING, MEMBER)
if not due or tonumber(due) ~= args.until_ms then -- guard: its own lease
  return 'ok'
end
if redis.call('ZCARD', FORGOTTEN) > 0 then -- guard: forgets at once
  redis.call('ZADD', LEARNING, 0, MEMBER)
elseif redis.call('XLEN', FEEDBACK) > 0 then -- guard: came meanwhile
  redis.call('ZADD', LEARNING, int_str(now_ms()), MEMBER)
else
  redis.call('ZREM', LEARNING, MEMBER)
end
return 'ok'
