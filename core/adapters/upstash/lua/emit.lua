-- emit: append what happened in a step, renew its lease, say of what an attempt failed.
--   KEYS  {t}:flow:f  {t}:log:f
--   args  step, epoch, seq, lease_ms, message (still open, or nothing), error (or nothing)
--   returns  {'ok', number of the last event}, {'fenced'}, {'expired'}, {'gone'}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field, 'deadline')
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
if over(flow[5], now) then
  return {'expired'}
end
step.lease, step.seq, step.message = now + args.lease_ms, args.seq, args.message
local written = {}
if args.error then
  local at, version = '/steps/' .. whole(step.order), flow[3] + 1
  step.error = args.error
  step.last = append(tonumber(flow[2]), delta({at .. '/error', cjson.encode(args.error),
    '/version', whole(version), '/updated_ms', whole(now)}))
  put(written, 'ver', version, 'updated', now)
else
  step.last = append(tonumber(flow[2]))
end
put(written, field, cjson.encode(step), 'seq', step.last)
set(written)
return {'ok', step.last}
