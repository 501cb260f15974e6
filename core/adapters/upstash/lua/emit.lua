-- emit: append what happened in a step, renew its lease, say of what an attempt failed.
--   returns  {'ok', number of the last event}, {'fenced'}, {'expired'}, {'not_found'}
local FLOW, LOG, DUE, INDEX = unpack(KEYS)
local field = 'step:' .. args.step
local flow = read(FLOW, {'status', 'seq', 'ver', 'deadline', 'plan', 'changed', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step or step.epoch ~= args.epoch then -- guard: fence
  return {'fenced'}
end
if args.seq <= step.seq then -- guard: once
  return {'ok', step.last}
end
if step.state ~= 'running' then -- guard: done, or ended with its flow
  return {'fenced'}
end
local now, plan = now_ms(), plan_of(flow.plan)
if over(flow.deadline, now) then -- guard: deadline
  return {'expired'}
end
step.lease, step.seq, step.message = now + args.lease_ms, args.seq, args.message
plan.leases[args.step] = step.lease -- guard: the lease is renewed
reschedule(DUE, INDEX, plan, flow, now, args.lease_ms / 3)
local made, written = {}, {}
if args.error then
  local at, version = '/steps/' .. int_str(step.order), flow.ver + 1
  step.error = args.error
  push(made, 'STATE_DELTA', delta({at .. '/error', cjson.encode(args.error),
    '/version', int_str(version), '/updated_ms', int_str(now)}))
  push(written, 'ver', int_str(version), 'updated', int_str(now),
    'changed', remember(flow.changed, version, {args.step}))
end
step.last = append(LOG, args.channel, tonumber(flow.seq), made)
push(written, field, cjson.encode(step), 'seq', int_str(step.last), 'plan', cjson.encode(plan))
redis.call('HSET', FLOW, unpack(written))
return {'ok', step.last}
