-- settle: count what a reserved call consumed, once. One that is not under way any more was
-- settled before, or lost with its step or its flow; what it consumed counts in place of its bound then,
-- once, and nothing else of a late answer does. One that was never reserved cannot be from then on: whoever
-- asked for it heard no answer and gave it up. An ended flow gets a new version for it, and no event.
--   args     used: sums; facts: of the call, for the day's
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local field = 'step:' .. args.step

local function correct_lost(flow, step)
  local lost, more = step.lost and step.lost[args.call_id], {}
  for name, value in pairs(args.used) do
    more[name] = value
  end
  for name, value in pairs(lost and lost.used or {}) do
    more[name] = (more[name] or 0) - value
  end
  if not lost or not spend(lost.hour, {{cell = lost.cell, used = more, facts = args.facts}}) then
    return
  end
  step.lost[args.call_id] = nil -- guard: corrected once
  local usage, now = added(flow.usage, more), now_ms()
  local fields = {'usage', usage}
  local alerts = spend_holds({{holds = lost.holds, free = 0, spend = more.cost_nanodollars or 0}}, fields, now)
  if (more.cost_nanodollars or 0) < 0 and lost.holds then -- guard: money is back
    wake_waiting()
  end
  if not terminal(flow.status) then -- guard: the end is the last event
    flow.alerts = alerts
    change(flow, now, {'/usage', usage}, {step = step, fields = fields, alone = true})
  else
    push(fields, field, cjson.encode(step), 'ver', int_str(flow.ver + 1))
    redis.call('HSET', FLOW, unpack(fields))
  end
end

local flow = read(FLOW, {'status', 'seq', 'ver', 'usage', 'plan', field})
if not flow.status then
  return {'not_found'}
end
local step = flow[field] and cjson.decode(flow[field]) or {}
local call = step.calls and step.calls[args.call_id]
if not call then
  correct_lost(flow, step)
  local ours = step.epoch == args.epoch -- guard: fence
    and not terminal(flow.status) -- guard: the end is final
  if ours and step.state == 'running' and use_number(step, args.number) then -- guard: given up
    redis.call('HSET', FLOW, field, cjson.encode(step))
  end
  return {ours and 'ok' or 'fenced'}
end
local now, plan, changes, fields = now_ms(), plan_of(flow.plan), {}, {}
call.used, call.facts = args.used, args.facts
if not charge(flow, now, {call}, changes, fields) then
  return {'wrong_clock'}
end
step.calls[args.call_id] = nil -- guard: once
local left = (plan.calls[args.step] or 1) - 1
plan.calls[args.step] = left > 0 and left or nil
change(flow, now, changes, {step = step, plan = plan, fields = fields})
return {'ok'}
