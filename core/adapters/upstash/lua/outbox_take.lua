-- outbox_take: the flows of which something may be to tell, each held so that nobody else gets it.
--   KEYS  {t}:outbox  {t}:outbox:told
--   args  limit, hold_ms
--   returns  flow and record (JSON text) in turn
local now = now_ms()
local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, args.limit)
local taken = {}
for _, flow in ipairs(due) do
  local record = cjson.decode(redis.call('HGET', KEYS[2], flow) or '{}')
  record.hold = (record.hold or 0) + 1
  local text = cjson.encode(record)
  redis.call('ZADD', KEYS[1], 'XX', now + args.hold_ms, flow)
  redis.call('HSET', KEYS[2], flow, text)
  put(taken, flow, text)
end
if #due > 0 then
  keep(KEYS[1], ttl)
  keep(KEYS[2], ttl)
end
return taken
