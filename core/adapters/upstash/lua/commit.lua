-- commit: store a step's result once, with the last that happened in it.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:due
--   args  flow, step, epoch, seq, result (JSON text), usage (sums to add, or nothing)
--   returns  {'ok', the whole hash after it}, {'fenced'}, {'gone'}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field, 'usage')
if not flow[1] then
  return {'gone'}
end
local step = flow[4] and cjson.decode(flow[4])
if not step or step.epoch ~= args.epoch then
  return {'fenced'}
end
if args.seq > step.seq then
  if terminal(flow[1]) or step.state ~= 'running' then
    return {'fenced'}
  end
  local now = now_ms()
  local sum = cjson.decode(flow[5] or '{}')
  for name, value in pairs(args.usage or {}) do
    sum[name] = (sum[name] or 0) + value
  end
  step.state, step.lease, step.finished = 'done', 0, now
  step.seq, step.last = args.seq, append(tonumber(flow[2]))
  redis.call('HSET', KEYS[1], field, cjson.encode(step), 'result:' .. args.step, args.result,
    'usage', cjson.encode(sum), 'seq', step.last, 'ver', flow[3] + 1, 'updated', now)
  redis.call('ZADD', KEYS[3], 'XX', now, args.flow)
end
return {'ok', redis.call('HGETALL', KEYS[1])}
