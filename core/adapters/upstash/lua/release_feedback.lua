-- release_feedback: give a task back whose retraining has come to its end; what came meanwhile is
-- to be learnt next.
--   args     tenant, task; until_ms: the lease, as it was given
local due = redis.call('ZSCORE', LEARNING, args.task)
if not due or tonumber(due) ~= args.until_ms then -- guard: its own lease
  return 'ok'
end
if redis.call('ZCARD', FORGOTTEN) > 0 then -- guard: forgets at once
  due_at(0)
elseif redis.call('XLEN', FEEDBACK) > 0 then -- guard: came meanwhile
  due_at(now_ms())
else
  redis.call('ZREM', LEARNING, args.task)
end
return 'ok'
