-- lease_feedback: take a task with something to learn, the one that has waited longest.
--   args     lease_ms; delay_ms: how long feedback waits for more
--   returns  'tenant task', or nothing
local now = now_ms()
local found = redis.call('ZRANGE', LEARNING, '-inf', int_str(now - args.delay_ms), 'BYSCORE', 'LIMIT', 0, 1)
if #found > 0 then
  redis.call('ZADD', LEARNING, int_str(now + args.lease_ms - args.delay_ms), found[1])
end
return found[1]
