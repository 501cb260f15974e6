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
  local at, version, changed = '/steps/' .. whole(step.order), flow[3] + 1, {}
  if args.usage then
    changed = {'/usage', added(flow[5], args.usage)}
  end
  for _, change in ipairs({at .. '/state', '"done"', at .. '/finished_ms', whole(now),
    '/version', whole(version), '/updated_ms', whole(now)}) do
    changed[#changed + 1] = change
  end
  step.state, step.lease, step.finished = 'done', 0, now
  step.seq, step.last = args.seq, append(tonumber(flow[2]), delta(changed))
  redis.call('HSET', KEYS[1], field, cjson.encode(step), 'result:' .. args.step, args.result,
    'usage', added(flow[5], args.usage), 'seq', step.last, 'ver', version, 'updated', now)
  redis.call('ZADD', KEYS[3], 'XX', now, args.flow)
end
return {'ok', redis.call('HGETALL', KEYS[1])}
