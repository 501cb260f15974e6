-- transition: change a flow's status, if nobody changed it since it was read.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:spend:day  {t}:due  {t}:outbox
--   args  flow, to, epoch (of the status), output, waiting (JSON texts, or nothing), error (or
--         nothing), answer (or nothing: name, result as JSON text), day
--   returns  {'ok'}, {'fenced'}, {'gone'}, {'day', now}
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', 'epoch', 'deadline', 'usage', 'calls')
local status, epoch = flow[1], tonumber(flow[4])
if not status then
  return {'gone'}
end
if status == args.to and epoch == args.epoch + 1 then
  return {'ok'}
end
if terminal(status) or epoch ~= args.epoch then
  return {'fenced'}
end
local now, version, gone, left = now_ms(), flow[3] + 1, {}, nil
if terminal(args.to) then
  gone, left = lost(flow[7])
end
if another_day(gone, now) then
  return {'day', now}
end
local changes, written = {'/status', cjson.encode(args.to), '/output', args.output or 'null',
  '/error', args.error and cjson.encode(args.error) or 'null', '/version', whole(version),
  '/updated_ms', whole(now)}, {}
if args.waiting or status == 'waiting' then
  put(changes, '/waiting', args.waiting or 'null')
  put(written, 'waiting', args.waiting or '')
end
if #gone > 0 then
  local usage = count(gone, KEYS[3], flow[6])
  put(changes, '/usage', usage)
  put(written, 'usage', usage, 'calls', left)
end
if args.answer then
  put(written, 'result:' .. args.answer[1], args.answer[2])
end
put(written, 'status', args.to, 'epoch', epoch + 1, 'ver', version, 'output', args.output or '',
  'error', args.error or '', 'updated', now, 'seq', append(tonumber(flow[2]), delta(changes)))
set(written)
if terminal(args.to) then
  redis.call('ZREM', KEYS[4], args.flow)
elseif args.to == 'waiting' then
  redis.call('ZADD', KEYS[4], 'XX', flow[5] or whole(now + DAY_MS), args.flow)
  keep_waiting(flow[5], now, {KEYS[1], KEYS[2], KEYS[4], KEYS[5]})
else
  redis.call('ZADD', KEYS[4], 'XX', now, args.flow)
end
if status == 'waiting' then
  redis.call('EXPIRE', KEYS[1], ttl)
  redis.call('EXPIRE', KEYS[2], ttl)
end
return {'ok'}
