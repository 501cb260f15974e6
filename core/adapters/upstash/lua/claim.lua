-- claim: hold a step until its lease ends, if it is still as the worker saw it. A message that
-- its last worker left open is ended, its calls under way count as lost.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:spend:day  {t}:due
--   args  flow, step, seen (epoch), owner (nonce of this attempt), lease_ms, day
--   returns  {'claimed', epoch}, {'busy', milliseconds left}, {'fenced'}, {'expired'}, {'gone'},
--            {'day', now}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field, 'deadline', 'usage', 'calls')
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
if terminal(status) or status == 'waiting' or step.state == 'done' or step.epoch ~= args.seen then
  return {'fenced'}
end
local now = now_ms()
if over(flow[5], now) then
  return {'expired'}
end
if step.state == 'running' and step.lease > now then
  redis.call('ZADD', KEYS[4], 'XX', 'LT', step.lease, args.flow)
  return {'busy', step.lease - now}
end
local gone, left = lost(flow[7], args.step)
if another_day(gone, now) then
  return {'day', now}
end
step.state, step.owner, step.epoch = 'running', args.owner, step.epoch + 1
step.lease, step.started = now + args.lease_ms, step.started or now
step.seq, step.last, step.reserved, step.to_come = 0, 0, nil, nil
status = status == 'queued' and 'running' or status
local at, written = '/steps/' .. whole(step.order), {}
local changes = {'/status', cjson.encode(status), at .. '/state', '"running"',
  at .. '/attempt', whole(step.epoch), at .. '/started_ms', whole(step.started),
  '/version', whole(version + 1), '/updated_ms', whole(now)}
if #gone > 0 then
  local usage = count(gone, KEYS[3], flow[6])
  put(changes, '/usage', usage)
  put(written, 'usage', usage, 'calls', left)
end
local changed, message_end = delta(changes), nil
if step.message then
  message_end = changed
  changed = '{"type":"TEXT_MESSAGE_END","messageId":' .. cjson.encode(step.message) .. '}'
  step.message = nil
end
last = append(last, changed, message_end)
put(written, field, cjson.encode(step), 'seq', last, 'ver', version + 1, 'status', status,
  'updated', now)
set(written)
redis.call('ZADD', KEYS[4], 'XX', step.lease, args.flow)
return {'claimed', step.epoch}
