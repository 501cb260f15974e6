-- reschedule: have a live flow looked at later; at the end of its time at the latest.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:due  {t}:outbox
--   args  flow, delay_ms
--   returns  {'ok', status}, {'expired'}, {'gone'}
local flow = redis.call('HMGET', KEYS[1], 'status', 'deadline')
local status, deadline = flow[1], tonumber(flow[2] or nil)
if not status then
  return {'gone'}
end
if not terminal(status) then
  local now = now_ms()
  if over(deadline, now) then
    return {'expired'}
  end
  local at = now + args.delay_ms
  redis.call('ZADD', KEYS[3], 'XX', whole(math.min(at, deadline or at)), args.flow)
  if status == 'waiting' then
    keep_waiting(deadline, now, KEYS)
  end
end
return {'ok', status}
