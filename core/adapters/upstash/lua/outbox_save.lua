-- outbox_save: save how far a flow is delivered and when to look again, or remove it for good.
--   args     record (JSON text; nothing: remove it), leased (keep the lease until then), seen and
--            soon_ms (look that soon if there are events after `seen`)
--   returns  'ok', 'fenced'
local stored = redis.call('HGET', DELIVERIES, args.flow)
if not stored then -- guard: gone
  return args.record and 'fenced' or 'ok'
end
if cjson.decode(stored).epoch ~= args.epoch then -- guard: fence
  return 'fenced'
end
if not args.record then
  redis.call('HDEL', DELIVERIES, args.flow)
  redis.call('ZREM', OUTBOX, args.flow)
  if redis.call('EXISTS', OUTBOX) == 0 then
    redis.call('ZREM', OUTBOX_INDEX, args.tenant)
  end
  return 'ok'
end
local now, record = now_ms(), cjson.decode(args.record)
local at = now + args.delay_ms
if args.leased then
  record.leased_until = at -- guard: the lease is kept
elseif args.seen and tonumber(redis.call('HGET', FLOW, 'seq') or 0) > args.seen then -- guard: news
  at = math.min(at, now + args.soon_ms)
end
redis.call('HSET', DELIVERIES, args.flow, cjson.encode(record))
redis.call('ZADD', OUTBOX, 'XX', int_str(at), args.flow)
redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(at), args.tenant)
return 'ok'
