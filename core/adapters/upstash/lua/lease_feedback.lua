-- lease_feedback: take a task with something to learn, the one that has waited longest.
--   args     lease_ms; delay_ms: how long feedback waits for more
--   returns  {'tenant task', until when}, or {}
local now = now_ms()
local found = redis.call('ZRANGE', LEARNING, '-inf', int_str(now - args.delay_ms), 'BYSCORE', 'LIMIT', 0, 1)
if #found > 0 then
  local until_ms = int_str(now + args.lease_ms - args.delay_ms)
  redis.call('ZADD', LEARNING, until_ms, found[1])
  push(found, until_ms)
end
return found
