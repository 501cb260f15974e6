-- settle: count what a reserved call consumed, once. One that is not under way any more was
-- settled before, or lost with its step or its flow.
--   args     used: sums
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local field = 'step:' .. args.step
local flow = read(FLOW, {'status', 'seq', 'ver', 'usage', 'plan', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field]) or {}
local call = step.calls and step.calls[args.call_id]
if not call then
  local ours = step.epoch == args.epoch -- guard: fence
    and not terminal(flow.status) -- guard: the end is final
  return {ours and 'ok' or 'fenced'}
end
local now, plan, changes, fields = now_ms(), plan_of(flow.plan), {}, {}
call.used = args.used
if not charge(flow, now, {call}, changes, fields) then
  return {'wrong_clock'}
end
step.calls[args.call_id] = nil -- guard: once
local left = (plan.calls[args.step] or 1) - 1
plan.calls[args.step] = left > 0 and left or nil
change(flow, now, changes, {step = step, plan = plan, fields = fields})
return {'ok'}
