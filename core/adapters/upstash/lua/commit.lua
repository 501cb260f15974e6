-- commit: store a step's result once, with the last that happened in it.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:due
--   args  flow, step, epoch, seq, result (JSON text)
--   returns  {'ok', the whole hash after it}, {'fenced'}, {'gone'}
local field = 'step:' .. args.step
local flow = fields(redis.call('HGETALL', KEYS[1]))
if not flow.status then
  return {'gone'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step or step.epoch ~= args.epoch then
  return {'fenced'}
end
if args.seq <= step.seq then
  return {'ok', flat(flow)}
end
if terminal(flow.status) or step.state ~= 'running' then
  return {'fenced'}
end
local now, version, at = now_ms(), flow.ver + 1, '/steps/' .. whole(step.order)
local changes = {at .. '/state', '"done"', at .. '/finished_ms', whole(now),
  '/version', whole(version), '/updated_ms', whole(now)}
if step.error then
  put(changes, at .. '/error', 'null')
end
step.state, step.lease, step.finished, step.error = 'done', 0, now, nil
step.seq, step.last = args.seq, append(tonumber(flow.seq), delta(changes))
set({field, cjson.encode(step), 'result:' .. args.step, args.result, 'seq', whole(step.last),
  'ver', whole(version), 'updated', whole(now)}, flow)
redis.call('ZADD', KEYS[3], 'XX', now, args.flow)
return {'ok', flat(flow)}
