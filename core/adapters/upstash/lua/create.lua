-- create: begin a flow, once.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:flows  {t}:due
--   args  flow, digest, created_ms (for show), fields (flat list for HSET)
--   returns  'created', 'same' if this request made it before, 'other' if another request did
local digest = redis.call('HGET', KEYS[1], 'digest')
if digest then
  return digest == args.digest and 'same' or 'other'
end
local now_us = now_us()
local last = append(0)
redis.call('HSET', KEYS[1], 'digest', args.digest, 'status', 'queued', 'seq', last, 'ver', 1,
  'epoch', 0, 'created', args.created_ms, 'order', whole(now_us), 'updated', args.created_ms,
  unpack(args.fields))
redis.call('ZADD', KEYS[3], whole(now_us), args.flow)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', whole(now_us - ttl * 1000000))
redis.call('ZADD', KEYS[4], math.floor(now_us / 1000), args.flow)
for i = 1, 4 do
  redis.call('EXPIRE', KEYS[i], ttl)
end
return 'created'
