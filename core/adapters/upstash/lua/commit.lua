-- commit: store a step's result once, with the last that happened in it.
--   texts    the result, as JSON
--   returns  {'ok', ...} as `state_since` says, {'fenced'}, {'not_found'}
local FLOW, LOG, DUE, INDEX = unpack(KEYS)
local field = 'step:' .. args.step
local flow = read(FLOW, {'plan', 'changed', 'deadline', field, unpack(HEAD)})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field])
if not step or step.epoch ~= args.epoch then -- guard: fence
  return {'fenced'}
end
if args.seq <= step.seq then -- guard: once
  return state_since(FLOW, flow, flow.changed, args.known, {[args.step] = flow[field]})
end
if step.state ~= 'running' then -- guard: done, or ended with its flow
  return {'fenced'}
end
local now, plan, version = now_ms(), plan_of(flow.plan), flow.ver + 1
local at = '/steps/' .. int_str(step.order)
local changes = {at .. '/state', '"done"', at .. '/finished_ms', int_str(now),
  '/version', int_str(version), '/updated_ms', int_str(now)}
if step.error then
  push(changes, at .. '/error', 'null')
end
plan.leases[args.step] = nil
if flow.status ~= 'waiting' then
  look_by(plan, step.lease, version) -- guard: what it made ready
end
reschedule(DUE, INDEX, plan, flow, now, math.huge)
step.state, step.lease, step.finished, step.error, step.message = 'done', 0, now, nil, nil
step.seq = args.seq
step.last = append(LOG, args.channel, tonumber(flow.seq), {'STATE_DELTA', delta(changes)})
flow[field], flow.seq, flow.ver, flow.updated = cjson.encode(step), int_str(step.last), int_str(version), int_str(now)
flow.changed = remember(flow.changed, version, {args.step})
redis.call('HSET', FLOW, field, flow[field], 'result:' .. args.step, TEXTS[1], 'seq', flow.seq,
  'ver', flow.ver, 'updated', flow.updated, 'plan', cjson.encode(plan), 'changed', flow.changed,
  'failures', '0')
return state_since(FLOW, flow, flow.changed, args.known, {[args.step] = flow[field]})
