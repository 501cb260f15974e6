-- move: change a flow's status, if nobody changed it since it was read.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:due
--   args  flow, to, epoch (of the status), output (JSON text, or nothing), error (or nothing)
--   returns  'ok', 'fenced', 'gone'
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', 'epoch')
local status, epoch = flow[1], tonumber(flow[4])
if not status then
  return 'gone'
end
if status == args.to and epoch == args.epoch + 1 then
  return 'ok'
end
if terminal(status) or epoch ~= args.epoch then
  return 'fenced'
end
local now, version = now_ms(), flow[3] + 1
local last = append(tonumber(flow[2]), delta({'/status', cjson.encode(args.to),
  '/output', args.output or 'null', '/error', args.error and cjson.encode(args.error) or 'null',
  '/version', whole(version), '/updated_ms', whole(now)}))
redis.call('HSET', KEYS[1], 'status', args.to, 'epoch', epoch + 1, 'seq', last, 'ver', version,
  'output', args.output or '', 'error', args.error or '', 'updated', now)
if terminal(args.to) then
  redis.call('ZREM', KEYS[3], args.flow)
end
return 'ok'
