-- reschedule: have a live flow looked at later; at the end of its time at the latest.
--   returns  {'ok'}, {'expired'}, {'not_found'}
local flow = read(FLOW, {'status', 'ver', 'deadline', 'plan'})
if not flow.status then
  return {'not_found'}
end
if terminal(flow.status) then
  return {'ok'}
end
local now, plan = now_ms(), plan_of(flow.plan)
if over(flow.deadline, now) then -- guard: deadline
  return {'expired'}
end
if not args.seen or args.seen == tonumber(flow.ver) then -- guard: it has changed
  plan.look, plan.seen = now + args.delay_ms, tonumber(flow.ver)
  schedule(plan, next_look(plan, flow.status, flow.deadline, now))
  redis.call('HSET', FLOW, 'plan', cjson.encode(plan))
end
return {'ok'}
