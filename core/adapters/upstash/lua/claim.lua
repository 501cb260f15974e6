-- claim: hold a step until its lease ends, if it is still as the worker saw it. A message that
-- its last worker left open is ended, its calls under way count as lost.
--   returns  {'claimed', epoch, attempt}, {'busy', milliseconds left}, {'fenced'}, {'expired'},
--            {'not_found'}, {'wrong_clock'}
local FLOW, LOG, DUE, INDEX, YESTERDAY, TODAY, TOMORROW = unpack(KEYS)
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
  schedule(DUE, INDEX, plan, next_look(plan, flow.status, flow.deadline, now))
  redis.call('HSET', FLOW, 'plan', cjson.encode(plan))
  return {'busy', busy_until - now}
end
local lost = lost_calls(step, now)
local windows = #lost > 0 and windows_of({YESTERDAY, TODAY, TOMORROW}, now)
if #lost > 0 and not windows then
  return {'wrong_clock'}
end
local version = flow.ver + 1
step.state, step.owner, step.epoch, step.attempts = 'running', args.owner, step.epoch + 1, step.attempts + 1
step.lease, step.started, step.not_before = now + args.lease_ms, step.started or now, nil
step.seq, step.last = 0, 0
step.calls, step.reserved, step.skipped = nil, nil, nil -- guard: calls of the attempt before
plan.leases[args.step], plan.calls[args.step] = step.lease, nil
if args.more then -- guard: more steps are free
  look_by(plan, now, version)
end
local status = flow.status == 'queued' and 'running' or flow.status
local at, written = '/steps/' .. int_str(step.order), {}
local changes = {'/status', cjson.encode(status), at .. '/state', '"running"',
  at .. '/attempt', int_str(step.attempts), at .. '/started_ms', int_str(step.started),
  '/version', int_str(version), '/updated_ms', int_str(now)}
if step.waiting then
  step.waiting = nil
  push(changes, at .. '/waiting', 'null')
end
if #lost > 0 then -- guard: lost calls
  local usage = count(lost, windows, flow.usage)
  push(changes, '/usage', usage)
  push(written, 'usage', usage)
end
local made = {}
end_messages(made, {step})
push(made, 'STATE_DELTA', delta(changes))
local last = append(LOG, args.channel, tonumber(flow.seq), made)
schedule(DUE, INDEX, plan, next_look(plan, status, flow.deadline, now))
push(written, field, cjson.encode(step), 'seq', int_str(last), 'ver', int_str(version),
  'status', status, 'updated', int_str(now), 'plan', cjson.encode(plan),
  'changed', remember(flow.changed, version, {args.step}))
redis.call('HSET', FLOW, unpack(written))
return {'claimed', step.epoch, step.attempts}
