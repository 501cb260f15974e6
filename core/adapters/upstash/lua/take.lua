-- take: the flows that are due, each put off so that nobody else takes it meanwhile.
--   KEYS  {t}:due
--   args  limit, back_off_ms
--   returns  flow ids
local now, later = now_ms(), {}
local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, args.limit)
for _, flow in ipairs(due) do
  put(later, now + args.back_off_ms, flow)
end
if #due > 0 then
  redis.call('ZADD', KEYS[1], 'XX', unpack(later))
end
return due
