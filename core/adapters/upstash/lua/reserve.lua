-- reserve: hold the bound of a model call, once. Calls of one attempt may come out of order, so
-- the numbers that were passed over are remembered as still to come.
--   KEYS  {t}:flow:f  {t}:log:f
--   args  id, call {step, epoch, number, model, crew, task, bound}
--   returns  {'ok'}, {'fenced'}, {'expired'}, {'gone'}
local call = args.call
local field = 'step:' .. call.step
local flow = redis.call('HMGET', KEYS[1], 'status', 'deadline', field, 'calls')
if not flow[1] then
  return {'gone'}
end
local step = flow[3] and cjson.decode(flow[3])
if not step or step.epoch ~= call.epoch or terminal(flow[1]) or step.state ~= 'running' then
  return {'fenced'}
end
local highest, to_come = step.reserved or 0, {}
local fresh = call.number > highest
for _, number in ipairs(step.to_come or {}) do
  if number == call.number then
    fresh = true
  else
    put(to_come, number)
  end
end
if not fresh then
  return {'ok'}
end
if flow[2] and over(flow[2], now_ms()) then
  return {'expired'}
end
for number = highest + 1, call.number - 1 do
  put(to_come, number)
end
step.reserved, step.to_come = math.max(highest, call.number), #to_come > 0 and to_come or nil
local calls = cjson.decode(flow[4] or '{}')
calls[args.id] = call
set({field, cjson.encode(step), 'calls', cjson.encode(calls)})
return {'ok'}
