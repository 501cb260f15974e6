-- settle: count what a reserved call consumed, once. One that is not under way any more was
-- settled before, or lost with its step or its flow.
--   KEYS  {t}:flow:f  {t}:log:f  {t}:spend:day
--   args  id, step, epoch, used (sums), day
--   returns  {'ok'}, {'fenced'}, {'gone'}, {'day', now}
local field = 'step:' .. args.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'seq', 'ver', field, 'usage', 'calls')
if not flow[1] then
  return {'gone'}
end
local step, calls = flow[4] and cjson.decode(flow[4]), cjson.decode(flow[6] or '{}')
local call = calls[args.id]
if not call then
  local ours = step and step.epoch == args.epoch and not terminal(flow[1])
  return {ours and 'ok' or 'fenced'}
end
local now, version = now_ms(), flow[3] + 1
call.used, calls[args.id] = args.used, nil
if another_day({call}, now) then
  return {'day', now}
end
local usage = count({call}, KEYS[3], flow[5])
local last = append(tonumber(flow[2]), delta({'/usage', usage,
  '/version', whole(version), '/updated_ms', whole(now)}))
set({'usage', usage, 'calls', cjson.encode(calls), 'seq', last, 'ver', version, 'updated', now})
return {'ok'}
