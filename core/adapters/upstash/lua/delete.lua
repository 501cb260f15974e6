-- delete: remove a flow that has ended, with all that is kept of it. What was indexed for it alone is
-- found to be gone by the next look there.
--   returns  {'ok'}, {'not_ended', status}, {'not_found'}
local status = redis.call('HGET', FLOW, 'status')
if not status then
  return {'not_found'}
end
if not terminal(status) then -- guard: only what has ended
  return {'not_ended', status}
end
redis.call('DEL', FLOW, LOG)
redis.call('ZREM', DUE, '~' .. args.flow) -- guard: its expiry
redis.call('ZREM', FLOWS, args.flow) -- guard: its line in the list
redis.call('ZREM', OUTBOX, args.flow) -- guard: its webhooks
redis.call('HDEL', DELIVERIES, args.flow) -- guard: whoever sends them
return {'ok'}
