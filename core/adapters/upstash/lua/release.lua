-- release: give a claim back. The step is pending again and its attempt not counted; its calls
-- under way count as lost. One that is put off says why and until when (`waiting`).
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local FLOW, LOG, DUE, INDEX, YESTERDAY, TODAY, TOMORROW = unpack(KEYS)
local field = 'step:' .. args.step
local flow = read(FLOW, {'status', 'seq', 'ver', 'deadline', 'usage', 'plan', 'changed', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step or step.epoch ~= args.epoch then -- guard: fence
  return {'fenced'}
end
if args.seq <= step.seq then -- guard: once
  return {'ok'}
end
if step.state ~= 'running' then -- guard: done, or ended with its flow
  return {'fenced'}
end
local now, plan = now_ms(), plan_of(flow.plan)
local lost = lost_calls(step, now)
local windows = #lost > 0 and windows_of({YESTERDAY, TODAY, TOMORROW}, now)
if #lost > 0 and not windows then
  return {'wrong_clock'}
end
local version, at, written = flow.ver + 1, '/steps/' .. int_str(step.order), {}
step.state, step.lease, step.not_before = 'pending', 0, now + args.delay_ms
step.attempts = step.attempts - 1 -- guard: no attempt is counted
step.deferrals = (step.deferrals or 0) + (args.delay_ms > 0 and 1 or 0) -- guard: put off, not stopped
step.waiting = args.delay_ms > 0 and {reason = args.reason, until_ms = step.not_before} or nil
step.owner, step.message, step.calls = nil, nil, nil
plan.leases[args.step], plan.calls[args.step] = step.not_before, nil
local changes = {at .. '/state', '"pending"', at .. '/attempt', int_str(step.attempts),
  '/version', int_str(version), '/updated_ms', int_str(now)}
if step.waiting then
  push(changes, at .. '/waiting', '{"reason":' .. cjson.encode(args.reason) .. ',"until_ms":'
    .. int_str(step.not_before) .. '}')
end
if #lost > 0 then -- guard: lost calls
  local usage = count(lost, windows, flow.usage)
  push(changes, '/usage', usage)
  push(written, 'usage', usage)
end
reschedule(DUE, INDEX, plan, flow, now, 0)
step.seq = args.seq
step.last = append(LOG, args.channel, tonumber(flow.seq), {'STATE_DELTA', delta(changes)})
push(written, field, cjson.encode(step), 'seq', int_str(step.last), 'ver', int_str(version),
  'updated', int_str(now), 'plan', cjson.encode(plan),
  'changed', remember(flow.changed, version, {args.step}))
redis.call('HSET', FLOW, unpack(written))
return {'ok'}
