-- transition: change a flow's status, if nobody changed it since it was read. Its end ends the steps
-- that run, and the messages that they have open.
--   args     text_is: what the text is: 'output', 'waiting', 'answer'; or nothing, without one
--            answer: the name of the result that an answer is kept as
--            output_ref: what readers see in the place of an output that is a blob
--            until_ms: until when it waits, but for least_wait_ms at least; for_money: for a budget;
--            budgets_version: what the tenant's budgets were then, or nothing
--            outcomes: what came of tasks in trials
--   returns  {'ok'}, {'fenced'}, {'not_found'}, {'wrong_clock'}

-- text_if: the text, if it is this
local function text_if(what)
  return args.text_is == what and TEXTS[1] or nil
end

-- end_step: end a step with its flow; what was put off is put off no more
local function end_step(step, changes, now)
  local at = '/steps/' .. int_str(step.order)
  step.calls, step.message = nil, nil
  if step.deferred then
    step.deferred = nil
    push(changes, at .. '/waiting', 'null')
  end
  if step.state == 'running' then
    step.state, step.lease, step.finished = args.to == 'failed' and 'failed' or 'cancelled', 0, now
    push(changes, at .. '/state', cjson.encode(step.state), at .. '/finished_ms', int_str(now))
  end
end

-- end_steps: end the steps that are under way, and the messages that they have open.
--   changes, parts   of the flow, see `change`: what has changed is added to them
--   returns          the calls that are lost with the steps
local function end_steps(plan, changes, parts, now)
  local open, ended, lost = {}, {}, {}
  for _, steps in ipairs({plan.leases, plan.calls}) do
    for name in pairs(steps) do
      push(open, 'step:' .. name)
    end
  end
  if #open > 0 then -- what is done has no journal
    redis.call('UNLINK', JOURNAL) -- guard: no step goes on
  end
  for field, record in pairs(#open > 0 and read(FLOW, open) or {}) do
    local step, before = cjson.decode(record), #changes
    for _, call in ipairs(lost_calls(step, now)) do
      push(lost, call)
    end
    push(ended, {order = step.order, message = step.message})
    end_step(step, changes, now)
    if #changes > before then
      push(parts.names, field:sub(6))
    end
    push(parts.fields, field, cjson.encode(step))
  end
  end_messages(parts.made, ended)
  return lost
end

-- expire: have a flow that has ended forgotten in ttl_ms, and never looked at before
local function expire(now)
  redis.call('ZREM', DUE, args.flow) -- guard: never due again
  local grain = math.max(1, math.floor(args.ttl_ms / 24)) -- so that many are forgotten at once
  redis.call('ZADD', DUE, int_str(math.ceil((now + args.ttl_ms) / grain) * grain), '~' .. args.flow)
  local first = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES') -- what has ended costs no look
  redis.call('ZADD', INDEX, 'GT', first[2], args.tenant)
  redis.call('PEXPIRE', FLOW, int_str(args.ttl_ms))
  redis.call('PEXPIRE', LOG, int_str(args.ttl_ms))
end

-- look_again: have the flow looked at when its wait is over, or now where it goes on
local function look_again(flow, plan, now)
  local wait = args.until_ms and math.max(args.until_ms, now + args.least_wait_ms) -- guard: never in a circle
  plan.look = args.to == 'waiting' and (wait or tonumber(flow.deadline) or now + DAY_MS) or now
  plan.seen = flow.ver + 1
  plan.for_money = args.for_money or nil
  if args.for_money and args.budgets_version
    and args.budgets_version ~= budgets_version(redis.call('HGETALL', BUDGETS)) -- guard: changed meanwhile
  then
    plan.look = now
  end
  schedule(plan, next_look(plan, args.to, flow.deadline, now))
end

-- wait_for_money: have the flow woken when a budget changes, for as long as it waits for one
local function wait_for_money(flow)
  if args.for_money then
    redis.call('SADD', BUDGET_WAITS, args.flow)
  elseif flow.status == 'waiting' then
    redis.call('SREM', BUDGET_WAITS, args.flow)
  end
end

-- make_webhooks_due: have the webhooks of a flow looked at now, if it has any
local function make_webhooks_due(flow, now)
  if flow.webhooks then
    redis.call('ZADD', OUTBOX, 'XX', 'LT', int_str(now), args.flow)
    redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(now), args.tenant)
  end
end

local flow = read(FLOW, {'status', 'seq', 'ver', 'epoch', 'deadline', 'usage', 'plan', 'changed',
  'moved_by', 'webhooks'})
if not flow.status then
  return {'not_found'}
end
local epoch = tonumber(flow.epoch)
if flow.status == args.to and epoch == args.epoch + 1 -- guard: once
  and flow.moved_by == args.transition_id -- guard: another transition
then
  return {'ok'}
end
if terminal(flow.status) -- guard: the end is final
  or epoch ~= args.epoch -- guard: fence
then
  return {'fenced'}
end
local now, plan, lost = now_ms(), plan_of(flow.plan), {}
local output, waiting = text_if('output'), text_if('waiting')
local changes = {'/status', cjson.encode(args.to), '/output', output or 'null',
  '/error', args.error and cjson.encode(args.error) or 'null'}
local parts = {made = {}, names = {}, members = {}, at_last = {'moved'},
  fields = {'status', args.to, 'epoch', int_str(epoch + 1), 'output', output or '',
    'error', args.error or '', 'moved_by', args.transition_id}}
if terminal(args.to) then -- guard: what is under way ends
  lost, plan = end_steps(plan, changes, parts, now), plan_of()
end
if not charge(flow, now, lost, changes, parts.fields) then
  return {'wrong_clock'}
end
if waiting or flow.status == 'waiting' then
  push(changes, '/waiting', waiting or 'null')
  push(parts.fields, 'waiting', waiting or '')
end
if args.answer then
  push(parts.fields, 'result:' .. args.answer, text_if('answer'))
  push(parts.names, args.answer)
  push(parts.at_last, 'brought:' .. args.answer)
end
if args.output_ref then
  push(parts.members, '/output_ref', cjson.encode(args.output_ref))
  push(parts.fields, 'output_bytes', int_str(args.output_ref.bytes))
end
for _, outcome in ipairs(args.outcomes) do
  record_outcome(outcome, now)
end
wait_for_money(flow)
make_webhooks_due(flow, now)
if terminal(args.to) then
  expire(now)
else
  look_again(flow, plan, now)
end
parts.plan = plan
change(flow, now, changes, parts)
return {'ok'}
