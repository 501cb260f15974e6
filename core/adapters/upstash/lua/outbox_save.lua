-- outbox_save: save how far a flow is delivered and when to look again, or remove it for good.
--   KEYS  {t}:outbox  {t}:outbox:deliveries
--   args  flow, epoch, record (JSON text; nothing: remove it), delay_ms
--   returns  'ok', 'fenced'
local stored = redis.call('HGET', KEYS[2], args.flow)
if not stored then
  return args.record and 'fenced' or 'ok'
end
if cjson.decode(stored).epoch ~= args.epoch then
  return 'fenced'
end
if args.record then
  redis.call('HSET', KEYS[2], args.flow, args.record)
  redis.call('ZADD', KEYS[1], 'XX', now_ms() + args.delay_ms, args.flow)
else
  redis.call('HDEL', KEYS[2], args.flow)
  redis.call('ZREM', KEYS[1], args.flow)
end
return 'ok'
