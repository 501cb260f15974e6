-- outbox_lease: the flows that are due, each leased so that nobody else gets it.
--   KEYS  {t}:outbox  {t}:outbox:deliveries
--   args  limit, lease_ms
--   returns  flow and record (JSON text) in turn
local now = now_ms()
local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, args.limit)
local leased = {}
for _, flow in ipairs(due) do
  local record = cjson.decode(redis.call('HGET', KEYS[2], flow) or '{}')
  record.epoch = (record.epoch or 0) + 1
  local text = cjson.encode(record)
  redis.call('ZADD', KEYS[1], 'XX', now + args.lease_ms, flow)
  redis.call('HSET', KEYS[2], flow, text)
  put(leased, flow, text)
end
if #due > 0 then
  keep(KEYS[1], ttl)
  keep(KEYS[2], ttl)
end
return leased
