-- outbox_lease: the flows that are due, each leased so that nobody else gets it.
--   returns  flow and record (JSON text) in turn
local OUTBOX, DELIVERIES, INDEX = unpack(KEYS)
local now, leased = now_ms(), {}
local due = redis.call('ZRANGE', OUTBOX, '-inf', int_str(now), 'BYSCORE', 'LIMIT', 0, args.limit)
for _, flow in ipairs(due) do
  local record = cjson.decode(redis.call('HGET', DELIVERIES, flow) or '{}')
  record.epoch = (record.epoch or 0) + 1
  local text = cjson.encode(record)
  redis.call('ZADD', OUTBOX, 'XX', int_str(now + args.lease_ms), flow)
  redis.call('HSET', DELIVERIES, flow, text)
  push(leased, flow, text)
end
if redis.call('EXISTS', OUTBOX) == 0 then
  redis.call('ZREM', INDEX, args.tenant)
end
return leased
