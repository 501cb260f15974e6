-- emit: append what happened in a step, renew its lease, say of what an attempt failed.
--   returns  {'ok', number of the last event}, {'fenced'}, {'expired'}, {'not_found'}
local flow = read(FLOW, {'status', 'seq', 'ver', 'deadline', 'plan', 'changed', 'step:' .. args.step})
local step, refusal = held(flow)
if refusal == 'written' then
  return {'ok', step.last}
end
if refusal then
  return {refusal}
end
local now, plan = now_ms(), plan_of(flow.plan)
if over(flow.deadline, now) then -- guard: deadline
  return {'expired'}
end
step.lease, step.message = now + args.lease_ms, args.message
plan.leases[args.step] = step.lease -- guard: the lease is renewed
schedule_with_slack(plan, flow, now, args.lease_ms / 3)
if not args.error then
  return {'ok', store(flow, {}, {step = step, plan = plan})}
end
step.error = args.error
local changes = {'/steps/' .. int_str(step.order) .. '/error', cjson.encode(args.error)}
return {'ok', change(flow, now, changes, {step = step, plan = plan, names = {args.step}})}
