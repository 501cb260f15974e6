-- release: give a claim back. The step is pending again and its attempt not counted; its calls
-- under way count as lost. One that is put off says why and until when (`waiting` of its public state).
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local flow = read(FLOW, {'status', 'seq', 'ver', 'deadline', 'usage', 'plan', 'changed', 'step:' .. args.step})
local step, refusal = held(flow)
if refusal then
  return {refusal == 'written' and 'ok' or refusal}
end
local now, plan, changes, fields = now_ms(), plan_of(flow.plan), {}, {}
if not charge(flow, now, lost_calls(step, now), changes, fields) then -- guard: lost calls
  return {'wrong_clock'}
end
step.state, step.lease, step.not_before = 'pending', 0, now + args.delay_ms
step.attempts = step.attempts - 1 -- guard: no attempt is counted
step.deferrals = (step.deferrals or 0) + (args.delay_ms > 0 and 1 or 0) -- guard: put off, not stopped
step.deferred = args.delay_ms > 0 and {reason = args.reason, until_ms = step.not_before} or nil
step.owner, step.message, step.calls = nil, nil, nil
plan.leases[args.step], plan.calls[args.step] = step.not_before, nil
schedule_with_slack(plan, flow, now, EXACTLY) -- nobody looks again before
local at = '/steps/' .. int_str(step.order)
push(changes, at .. '/state', '"pending"', at .. '/attempt', int_str(step.attempts))
if step.deferred then
  push(changes, at .. '/waiting', '{"reason":' .. cjson.encode(args.reason) .. ',"until_ms":'
    .. int_str(step.not_before) .. '}')
end
change(flow, now, changes, {step = step, plan = plan, names = {args.step}, fields = fields})
return {'ok'}
