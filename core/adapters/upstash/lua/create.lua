-- create: begin a flow, once.
--   texts    the definition, then fields of the flow's hash, name and value in turn
--   returns  {'created'}, {'exists'} if this request made it before, {'conflict'} if another did
local digest = redis.call('HGET', FLOW, 'digest')
if digest then
  return {digest == args.digest and 'exists' or 'conflict'} -- guard: another request's flow
end
local now_us = now_us()
local now = math.floor(now_us / 1000)
local last, written = append(0, {}), {}
for i = 2, #TEXTS do
  push(written, TEXTS[i])
end
push(written, 'digest', args.digest, 'status', 'queued', 'seq', int_str(last), 'ver', '1',
  'epoch', '0', 'created', int_str(args.created_ms), 'order', int_str(now_us),
  'updated', int_str(args.created_ms), 'steps', int_str(args.steps))
if args.limit_ms then
  push(written, 'deadline', int_str(now + args.limit_ms))
end
run_chunked('HSET', FLOW, written)
redis.call('HSETNX', DEFINITIONS, args.definition_digest, TEXTS[1])
redis.call('ZADD', FLOWS, int_str(now_us), args.flow)
redis.call('ZADD', DUE, int_str(now), args.flow)
redis.call('ZADD', INDEX, 'LT', int_str(now), args.tenant)
if args.webhooks then
  redis.call('ZADD', OUTBOX, int_str(now), args.flow)
  redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(now), args.tenant)
end
return {'created'}
