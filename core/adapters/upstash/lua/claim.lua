-- claim: hold a step until its lease ends, if it is still as the worker saw it. A message that
-- its last worker left open is ended.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:due
--   args  flow, step, seen (epoch), owner (nonce of this attempt), lease_ms
--   returns  {'claimed', epoch}, {'busy', milliseconds left}, {'fenced'}, {'gone'}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field)
local status, last, version = flow[1], tonumber(flow[2]), tonumber(flow[3])
if not status then
  return {'gone'}
end
local step = flow[4] and cjson.decode(flow[4])
if not step then
  return {'fenced'}
end
if step.state == 'running' and step.owner == args.owner then
  return {'claimed', step.epoch}
end
if terminal(status) or step.state == 'done' or step.epoch ~= args.seen then
  return {'fenced'}
end
local now = now_ms()
if step.state == 'running' and step.lease > now then
  return {'busy', step.lease - now}
end
step.state, step.owner, step.epoch = 'running', args.owner, step.epoch + 1
step.lease, step.started = now + args.lease_ms, step.started or now
step.seq, step.last = 0, 0
status = status == 'queued' and 'running' or status
local at = '/steps/' .. whole(step.order)
local changed = delta({'/status', cjson.encode(status), at .. '/state', '"running"',
  at .. '/attempt', whole(step.epoch), at .. '/started_ms', whole(step.started),
  '/version', whole(version + 1), '/updated_ms', whole(now)})
if step.message then
  last = append(last, '{"type":"TEXT_MESSAGE_END","messageId":' .. cjson.encode(step.message) .. '}', changed)
  step.message = nil
else
  last = append(last, changed)
end
redis.call('HSET', KEYS[1], field, cjson.encode(step), 'seq', last, 'ver', version + 1,
  'status', status, 'updated', now)
redis.call('ZADD', KEYS[3], 'XX', step.lease, args.flow)
return {'claimed', step.epoch}
