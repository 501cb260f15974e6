-- emit: append what happened in a step, add what it used, renew its lease.
--   KEYS  {t}:flow:f  {t}:log:f
--   args  step, epoch, seq, lease_ms, message (still open, or nothing), usage (sums to add, or
--         nothing)
--   returns  {'ok', number of the last event}, {'fenced'}, {'gone'}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field, 'usage')
if not flow[1] then
  return {'gone'}
end
local step = flow[4] and cjson.decode(flow[4])
if not step or step.epoch ~= args.epoch then
  return {'fenced'}
end
if args.seq <= step.seq then
  return {'ok', step.last}
end
if terminal(flow[1]) or step.state ~= 'running' then
  return {'fenced'}
end
local now = now_ms()
step.lease, step.seq, step.message = now + args.lease_ms, args.seq, args.message
if not args.usage then
  step.last = append(tonumber(flow[2]))
  redis.call('HSET', KEYS[1], field, cjson.encode(step), 'seq', step.last)
  return {'ok', step.last}
end
local usage, version = added(flow[5], args.usage), flow[3] + 1
step.last = append(tonumber(flow[2]), delta({'/usage', usage,
  '/version', whole(version), '/updated_ms', whole(now)}))
redis.call('HSET', KEYS[1], field, cjson.encode(step), 'seq', step.last, 'usage', usage,
  'ver', version, 'updated', now)
return {'ok', step.last}
