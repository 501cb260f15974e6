-- reserve: hold the bound of a model call, once. Calls of one attempt may come out of order, so
-- the numbers that were passed over are remembered as skipped.
--   args     call: {number, bound, accounts}
--   returns  {'ok'}, {'fenced'}, {'expired'}, {'not_found'}
local field, call = 'step:' .. args.step, args.call
local flow = read(FLOW, {'status', 'deadline', 'plan', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step
  or step.epoch ~= args.epoch -- guard: fence
  or step.state ~= 'running' -- guard: done, or ended with its flow
then
  return {'fenced'}
end
local highest, skipped = step.reserved or 0, {}
local fresh = call.number > highest
for _, number in ipairs(step.skipped or {}) do
  if number == call.number then
    fresh = true -- guard: skipped
  else
    push(skipped, number)
  end
end
if not fresh then -- guard: once
  return {'ok'}
end
if flow.deadline and over(flow.deadline, now_ms()) then -- guard: deadline
  return {'expired'}
end
for number = highest + 1, call.number - 1 do
  push(skipped, number)
end
step.reserved, step.skipped = math.max(highest, call.number), #skipped > 0 and skipped or nil
step.calls = step.calls or {}
step.calls[args.call_id] = call
local plan = plan_of(flow.plan)
plan.calls[args.step] = (plan.calls[args.step] or 0) + 1
redis.call('HSET', FLOW, field, cjson.encode(step), 'plan', cjson.encode(plan))
return {'ok'}
