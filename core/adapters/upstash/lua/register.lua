-- register: have workers and sweepers look at a tenant; forget those that can have no live flow.
--   KEYS  tenants
--   args  tenant, seconds (from now)
local now = now_ms()
redis.call('ZADD', KEYS[1], 'GT', whole(now + args.seconds * 1000), args.tenant)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(now))
redis.call('EXPIRE', KEYS[1], args.seconds, 'NX')
redis.call('EXPIRE', KEYS[1], args.seconds, 'GT')  -- NX gives a time to a new key, GT lengthens it
return 'ok'
