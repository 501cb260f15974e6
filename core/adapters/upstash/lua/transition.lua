-- transition: change a flow's status, if nobody changed it since it was read. Its end ends the steps
-- that run, and the messages that they have open.
--   args     texts_hold: the field that the first text is the value of, or nothing;
--            until_ms: until when it waits, or nothing, but for least_wait_ms at
--            least; for_money: whether it waits for a budget;
--            outcomes: what came of tasks in trials; output_ref: what readers see in the place of an output that is a blob, or nothing
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}
local flow = read(FLOW, {'status', 'seq', 'ver', 'epoch', 'deadline', 'usage', 'plan', 'changed',
  'moved_by', 'webhooks'})
if not flow.status then
  return {'not_found'}
end
local epoch, plan = tonumber(flow.epoch), plan_of(flow.plan)
if flow.status == args.to and epoch == args.epoch + 1 -- guard: once
  and flow.moved_by == args.request -- guard: another request
then
  return {'ok'}
end
if terminal(flow.status) -- guard: the end is final
  or epoch ~= args.epoch -- guard: fence
then
  return {'fenced'}
end
local now, lost, ended = now_ms(), {}, {}
local given = {[args.texts_hold or ''] = TEXTS[1]}
local changes = {'/status', cjson.encode(args.to), '/output', given.output or 'null',
  '/error', args.error and cjson.encode(args.error) or 'null'}
local fields, names = {'status', args.to, 'epoch', int_str(epoch + 1), 'output', given.output or '',
  'error', args.error or '', 'moved_by', args.request}, {}
if terminal(args.to) then -- guard: what is under way ends
  local open = {}
  for _, steps in ipairs({plan.leases, plan.calls}) do
    for name in pairs(steps) do
      push(open, 'step:' .. name)
    end
  end
  for field, record in pairs(#open > 0 and read(FLOW, open) or {}) do
    local step = cjson.decode(record)
    for _, call in ipairs(lost_calls(step, now)) do
      push(lost, call)
    end
    local at = '/steps/' .. int_str(step.order)
    step.calls = nil
    if step.deferred then
      step.deferred = nil
      push(changes, at .. '/waiting', 'null')
      push(names, field:sub(6))
    end
    if step.state == 'running' then
      step.state, step.lease, step.finished = args.to == 'failed' and 'failed' or 'cancelled', 0, now
      push(changes, at .. '/state', cjson.encode(step.state), at .. '/finished_ms', int_str(now))
      push(names, field:sub(6))
    end
    push(ended, {order = step.order, message = step.message})
    step.message = nil
    push(fields, field, cjson.encode(step))
  end
  plan = plan_of()
end
if not charge(flow, now, lost, changes, fields) then
  return {'wrong_clock'}
end
for _, outcome in ipairs(args.outcomes) do
  record_outcome(outcome, now)
end
if given.waiting or flow.status == 'waiting' then
  push(changes, '/waiting', given.waiting or 'null')
  push(fields, 'waiting', given.waiting or '')
end
if flow.status == 'waiting' then
  redis.call('SREM', BUDGET_WAITS, args.flow)
end
if args.for_money then
  redis.call('SADD', BUDGET_WAITS, args.flow)
end
if args.answer then
  push(fields, 'result:' .. args.answer, TEXTS[1])
  push(names, args.answer)
end
local members = {}
if args.output_ref then
  push(members, '/output_ref', cjson.encode(args.output_ref))
  push(fields, 'output_bytes', int_str(args.output_ref.bytes))
end
if terminal(args.to) then
  redis.call('ZREM', DUE, args.flow) -- guard: never due again
  local grain = math.max(1, math.floor(args.ttl_ms / 24)) -- so that many are forgotten at once
  redis.call('ZADD', DUE, int_str(math.ceil((now + args.ttl_ms) / grain) * grain), '~' .. args.flow)
  local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES') -- what has ended costs no look
  redis.call('ZADD', INDEX, 'GT', first[2], args.tenant)
  redis.call('PEXPIRE', FLOW, int_str(args.ttl_ms))
  redis.call('PEXPIRE', LOG, int_str(args.ttl_ms))
else
  local wait = args.until_ms and math.max(args.until_ms, now + args.least_wait_ms) -- guard: never in a circle
  plan.look = args.to == 'waiting' and (wait or tonumber(flow.deadline) or now + DAY_MS) or now
  plan.seen = flow.ver + 1
  schedule(plan, next_look(plan, args.to, flow.deadline, now))
end
if flow.webhooks then
  redis.call('ZADD', OUTBOX, 'XX', 'LT', int_str(now), args.flow)
  redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(now), args.tenant)
end
local made = {}
end_messages(made, ended)
change(flow, now, changes, {made = made, members = members, plan = plan, names = names,
  fields = fields, at_last = {'moved', args.answer and 'brought:' .. args.answer}})
return {'ok'}
