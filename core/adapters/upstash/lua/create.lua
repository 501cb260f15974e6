-- create: begin a flow, once.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:flows  {t}:due  {t}:outbox
--   args  flow, digest, created_ms (for show), limit_ms (or nothing), told (somebody is to be told
--         of its end), fields (flat list for HSET)
--   returns  {'created'}, {'same'} if this request made it before, {'other'} if another request did
local digest = redis.call('HGET', KEYS[1], 'digest')
if digest then
  return {digest == args.digest and 'same' or 'other'}
end
local now_us = now_us()
local now = math.floor(now_us / 1000)
local last, written = append(0), args.fields
put(written, 'digest', args.digest, 'status', 'queued', 'seq', last, 'ver', 1, 'epoch', 0,
  'created', args.created_ms, 'order', whole(now_us), 'updated', args.created_ms)
if args.limit_ms then
  put(written, 'deadline', whole(now + args.limit_ms))
end
set(written)
redis.call('ZADD', KEYS[3], whole(now_us), args.flow)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now_us - ttl * 1000000))
redis.call('ZADD', KEYS[4], now, args.flow)
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
keep(KEYS[3], ttl)
keep(KEYS[4], ttl)
if args.told then
  redis.call('ZADD', KEYS[5], now, args.flow)
  keep(KEYS[5], ttl)
end
return {'created'}
