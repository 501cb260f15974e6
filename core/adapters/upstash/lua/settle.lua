-- settle: count what a reserved call consumed, once. One that is not under way any more was
-- settled before, or lost with its step or its flow.
--   args     used: sums
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local FLOW, LOG, YESTERDAY, TODAY, TOMORROW = unpack(KEYS)
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
local now, plan, version = now_ms(), plan_of(flow.plan), flow.ver + 1
local windows = windows_of({YESTERDAY, TODAY, TOMORROW}, now)
if not windows then
  return {'wrong_clock'}
end
call.used = args.used
step.calls[args.call_id] = nil -- guard: once
local left = (plan.calls[args.step] or 1) - 1
plan.calls[args.step] = left > 0 and left or nil
local usage = count({call}, windows, flow.usage)
local last = append(LOG, args.channel, tonumber(flow.seq), {'STATE_DELTA', delta({'/usage', usage,
  '/version', int_str(version), '/updated_ms', int_str(now)})})
redis.call('HSET', FLOW, 'usage', usage, field, cjson.encode(step), 'plan', cjson.encode(plan),
  'seq', int_str(last), 'ver', int_str(version), 'updated', int_str(now))
return {'ok'}
