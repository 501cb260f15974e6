-- emit: append what happened in a step, add what it used, renew its lease.
--   KEYS  {t}:flow:f  {t}:log:f
--   args  step, epoch, seq, lease_ms, usage (sums to add, or nothing)
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
step.lease, step.seq, step.last = now + args.lease_ms, args.seq, append(tonumber(flow[2]))
local changes = {field, cjson.encode(step), 'seq', step.last}
if args.usage then
  local sum = cjson.decode(flow[5] or '{}')
  for name, value in pairs(args.usage) do
    sum[name] = (sum[name] or 0) + value
  end
  for _, change in ipairs({'usage', cjson.encode(sum), 'ver', flow[3] + 1, 'updated', now}) do
    changes[#changes + 1] = change
  end
end
redis.call('HSET', KEYS[1], unpack(changes))
return {'ok', step.last}
