-- claim: hold a step until its lease ends, if it is still as the worker saw it. A message that
-- its last worker left open is ended, its calls under way count as lost.
--   returns  {'claimed', epoch, attempt}, {'busy', milliseconds left}, {'fenced'}, {'expired'},
--            {'not_found'}, {'wrong_clock'}
local field = 'step:' .. args.step
local flow = read(FLOW, {'status', 'seq', 'ver', 'deadline', 'usage', 'plan', 'changed', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step then
  return {'fenced'}
end
if step.state == 'running' -- guard: claimed before
  and step.owner == args.owner -- guard: the owner's nonce
then
  return {'claimed', step.epoch, step.attempts}
end
if terminal(flow.status) -- guard: the end is final
  or flow.status == 'waiting' -- guard: a flow that waits
  or (step.state ~= 'pending' and step.state ~= 'running') -- guard: done
  or step.epoch ~= args.epoch -- guard: fence
then
  return {'fenced'}
end
local now, plan = now_ms(), plan_of(flow.plan)
if over(flow.deadline, now) then -- guard: deadline
  return {'expired'}
end
looked(plan, args.seen)
local busy_until = step.state == 'running' and step.lease or step.not_before or 0
if busy_until > now then -- guard: busy
  schedule(plan, next_look(plan, flow.status, flow.deadline, now))
  redis.call('HSET', FLOW, 'plan', cjson.encode(plan))
  return {'busy', busy_until - now}
end
local status, changes = flow.status == 'queued' and 'running' or flow.status, {}
local fields = {'status', status}
if not charge(flow, now, lost_calls(step, now), changes, fields) then -- guard: lost calls
  return {'wrong_clock'}
end
step.state, step.owner = 'running', args.owner
step.epoch, step.attempts = step.epoch + 1, step.attempts + 1
step.lease, step.not_before = now + args.lease_ms, nil
step.started = step.started or now
step.seq, step.last = 0, 0
step.calls, step.reserved, step.skipped = nil, nil, nil -- guard: calls of the attempt before
plan.leases[args.step], plan.calls[args.step] = step.lease, nil
if args.more then -- guard: more steps are free
  look_by(plan, now, flow.ver + 1)
end
schedule(plan, next_look(plan, status, flow.deadline, now))
local at, made = '/steps/' .. int_str(step.order), {}
push(changes, '/status', cjson.encode(status), at .. '/state', '"running"',
  at .. '/attempt', int_str(step.attempts), at .. '/started_ms', int_str(step.started))
if step.deferred then
  step.deferred = nil
  push(changes, at .. '/waiting', 'null')
end
end_messages(made, {step})
change(flow, now, changes,
  {made = made, step = step, plan = plan, names = {args.step}, fields = fields})
return {'claimed', step.epoch, step.attempts}
