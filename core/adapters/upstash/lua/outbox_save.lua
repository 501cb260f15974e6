-- outbox_save: save how far a flow is delivered and when to look again, or remove it for good.
--   args     record (JSON text; nothing: remove it)
--   returns  'ok', 'fenced'
local OUTBOX, DELIVERIES = unpack(KEYS)
local stored = redis.call('HGET', DELIVERIES, args.flow)
if not stored then
  return args.record and 'fenced' or 'ok'
end
if cjson.decode(stored).epoch ~= args.epoch then
  return 'fenced'
end
if args.record then
  redis.call('HSET', DELIVERIES, args.flow, args.record)
  redis.call('ZADD', OUTBOX, 'XX', int_str(now_ms() + args.delay_ms), args.flow)
else
  redis.call('HDEL', DELIVERIES, args.flow)
  redis.call('ZREM', OUTBOX, args.flow)
end
return 'ok'
