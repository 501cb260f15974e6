-- commit: store a step's result once, with the last that happened in it.
--   args     outcome: of a step of a task in a trial, or nothing
--            journal: the fields of the step's journal
--   texts    the result, as JSON
--   returns  {'ok', ...} as `state_since` says, {'fenced'}, {'not_found'}
local field = 'step:' .. args.step
local flow = read(FLOW, {'plan', 'changed', 'deadline', field, unpack(HEAD)})
local step, refusal = held(flow)
if refusal == 'written' then
  return state_since(flow, args.known, {[args.step] = flow[field]})
end
if refusal then
  return {refusal}
end
local now, plan = now_ms(), plan_of(flow.plan)
local at = '/steps/' .. int_str(step.order)
local changes = {at .. '/state', '"done"', at .. '/finished_ms', int_str(now)}
if step.error then
  push(changes, at .. '/error', 'null')
end
plan.leases[args.step] = nil
if flow.status ~= 'waiting' then
  look_by(plan, step.lease, flow.ver + 1) -- guard: what it made ready
end
schedule_with_slack(plan, flow, now, EARLIER_ONLY) -- whoever goes on puts it off
step.state, step.lease, step.finished, step.error, step.message = 'done', 0, now, nil, nil
run_chunked('HDEL', JOURNAL, args.journal) -- guard: its result says all
if args.outcome then
  record_outcome(args.outcome, now)
end
change(flow, now, changes, {step = step, plan = plan, names = {args.step},
  fields = {'result:' .. args.step, TEXTS[1], 'failures', '0'}})
return state_since(flow, args.known, {[args.step] = flow[field]})
