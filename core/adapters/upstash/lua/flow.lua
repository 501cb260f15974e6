-- Shared by the scripts that change a flow. `flow` is what `read` gives of its hash; `seq` there is the
-- number of the last event.
local KEPT, BATCH, REMEMBERED = 10000, 100, 64
local RECORD_SEPARATOR = '\30' -- JSON text never holds one
local HEAD = {'status', 'seq', 'ver', 'epoch', 'updated', 'usage', 'waiting', 'output', 'output_bytes',
  'error'}

-- over: whether a flow's time is over; one without a deadline has all the time
local function over(deadline, now)
  return deadline and now >= tonumber(deadline)
end

local function terminal(status)
  return status == 'succeeded' or status == 'failed' or status == 'cancelled'
end

-- delta: the STATE_DELTA event of a change to the public state, as `Flow.public` shows it.
--   changes     path and new value (JSON text) in turn, e.g. {'/status', '"running"'}
--   new_steps   the JSON texts of steps to add, or nothing
--   members     path and value (JSON text) in turn of what no state had before, or nothing
local function delta(changes, new_steps, members)
  local operations = {}
  for i = 1, #changes, 2 do
    push(operations, '{"op":"replace","path":"' .. changes[i] .. '","value":' .. changes[i + 1] .. '}')
  end
  for _, step in ipairs(new_steps or {}) do
    push(operations, '{"op":"add","path":"/steps/-","value":' .. step .. '}')
  end
  for i = 1, #(members or {}), 2 do
    push(operations, '{"op":"add","path":"' .. members[i] .. '","value":' .. members[i + 1] .. '}')
  end
  return '{"type":"STATE_DELTA","delta":[' .. table.concat(operations, ',') .. ']}'
end

-- end_messages: put the ends of the messages that these steps have open, in the order of the steps
local function end_messages(made, steps)
  table.sort(steps, function(one, other) return one.order < other.order end)
  for _, step in ipairs(steps) do
    if step.message then
      push(made, 'TEXT_MESSAGE_END',
        '{"type":"TEXT_MESSAGE_END","messageId":' .. cjson.encode(step.message) .. '}')
      step.message = nil
    end
  end
end

-- whole_event: an event that was sent; a record separator in it stands for the first text
local function whole_event(json)
  local at = string.find(json, RECORD_SEPARATOR, 1, true)
  return at and json:sub(1, at - 1) .. TEXTS[1] .. json:sub(at + 1) or json
end

-- append: number the events after `last`, first those that were `made` here (type and JSON in
-- turn), then those that were sent; add them to the log, in entries of at most BATCH; publish them
-- as one message: number, then type and JSON of each, parted by the record separator. Nobody can
-- listen to a flow that is being created: there is no channel then.
--   alone    whether what was sent is left out
--   returns  the number of the last event
local function append(last, made, channel, alone)
  local events = made -- guard: a version has an event
  for i = FIRST_EVENT, alone and 0 or #ARGV, 2 do
    push(events, ARGV[i], whole_event(ARGV[i + 1]))
  end
  local count = #events / 2
  for from = 1, count, BATCH do
    local to = math.min(from + BATCH - 1, count)
    local number = last + to
    redis.call('XADD', LOG, 'MINID', '~', int_str(math.max(0, number - KEPT)), int_str(number) .. '-0',
      unpack(events, 2 * from - 1, 2 * to))
  end
  if channel and count > 0 then
    redis.call('PUBLISH', channel, int_str(last + 1) .. RECORD_SEPARATOR
      .. table.concat(events, RECORD_SEPARATOR))
  end
  return last + count
end

-- remember: which steps and results a version changed, of the last so many changes.
--   before   the field `changed`: {floor, list of {version, name}}; every change after version
--            `floor` is in the list
--   returns  the field after it
local function remember(before, version, names)
  local old = before and cjson.decode(before) or {floor = 0, list = {}}
  local all, changed = old.list, {floor = old.floor, list = {}}
  for _, name in ipairs(names) do
    push(all, {version, name})
  end
  for i, change in ipairs(all) do
    if #all - i < REMEMBERED then
      push(changed.list, change)
    else
      changed.floor = change[1]
    end
  end
  return cjson.encode(changed)
end

-- held: the step that a write of a claim is for, and why it may not be written, or nothing:
--   'written' (this write, before), 'fenced', 'not_found'
local function held(flow)
  if not flow.status then
    return nil, 'not_found'
  end
  local record = flow['step:' .. args.step]
  local step = record and cjson.decode(record)
  if not step or step.epoch ~= args.epoch then -- guard: fence
    return nil, 'fenced'
  end
  if args.seq <= step.seq then -- guard: once
    return step, 'written'
  end
  if step.state ~= 'running' then -- guard: done, or ended with its flow
    return nil, 'fenced'
  end
  return step
end

-- store: append events, and store what has changed with them.
--   made     events made here, see `append`
--   parts    what is stored: `step`, the record of args.step; `plan`; `fields`, more of the hash,
--            name and value in turn; `at_last`, fields that get the number of the last event;
--            `alone`, whether the events that were sent are left out
--   returns  the number of the last event
local function store(flow, made, parts)
  local last, written = append(tonumber(flow.seq), made, args.channel, parts.alone), parts.fields or {}
  flow.seq = int_str(last)
  push(written, 'seq', flow.seq)
  for _, field in ipairs(parts.at_last or {}) do
    push(written, field, flow.seq)
  end
  if parts.step then
    if args.seq then -- by this a write of a claim is known when it is sent again
      parts.step.seq, parts.step.last = args.seq, last
    end
    local field = 'step:' .. args.step
    flow[field] = cjson.encode(parts.step)
    push(written, field, flow[field])
  end
  if parts.plan then
    push(written, 'plan', cjson.encode(parts.plan))
  end
  run_chunked('HSET', FLOW, written)
  return last
end

-- change: store a change of the public state: it gets the next version, and an event that tells it.
--   changes  path and new value (JSON text) in turn
--   parts    as `store` takes them, and: `names` of the steps and results that have changed;
--            `made`, events that come before this one; `new_steps`, `members`, see `delta`
--   returns  the number of the last event
local function change(flow, now, changes, parts)
  local version, made = flow.ver + 1, parts.made or {}
  flow.ver, flow.updated = int_str(version), int_str(now)
  push(changes, '/version', flow.ver, '/updated_ms', flow.updated)
  push(made, 'STATE_DELTA', delta(changes, parts.new_steps, parts.members))
  for _, event in ipairs(flow.alerts or {}) do
    push(made, 'CUSTOM', event)
  end
  parts.fields = parts.fields or {}
  push(parts.fields, 'ver', flow.ver, 'updated', flow.updated)
  if parts.names then
    flow.changed = remember(flow.changed, version, parts.names)
    push(parts.fields, 'changed', flow.changed)
  end
  return store(flow, made, parts)
end

-- state_since: what a worker that knows the state of version `known` needs to have the present one.
--   records  step records that are at hand: name -> JSON text. Their results are the worker's own.
--   returns  {'ok', fields of the head, name and value in turn, name, record and result of what
--            changed in turn}; the last is nothing if that can no longer be told
local function state_since(flow, known, records)
  local head, parts, wanted, names = {}, {}, {}, {}
  for _, name in ipairs(HEAD) do
    if flow[name] then
      push(head, name, tostring(flow[name]))
    end
  end
  local seen = {}
  local remembered = flow.changed and cjson.decode(flow.changed) or {floor = 0, list = {}}
  if known < remembered.floor then
    return {'ok', head}
  end
  for _, change in ipairs(remembered.list) do
    local name = change[2]
    if change[1] > known and not seen[name] then
      seen[name] = true
      if records[name] then
        push(parts, name, records[name], '')
      else
        push(names, name)
        push(wanted, 'step:' .. name, 'result:' .. name)
      end
    end
  end
  local found = read(FLOW, wanted)
  for _, name in ipairs(names) do
    push(parts, name, found['step:' .. name] or '', found['result:' .. name] or '')
  end
  return {'ok', head, parts}
end

-- use_number: note that the number of a model call is used. Calls of one attempt may come out of order,
-- so the numbers that were passed over are remembered as skipped.
--   returns  whether it was not used before
local function use_number(step, number)
  local highest, skipped = step.reserved or 0, {}
  local fresh = number > highest
  for _, each in ipairs(step.skipped or {}) do
    if each == number then
      fresh = true -- guard: skipped
    else
      push(skipped, each)
    end
  end
  for each = highest + 1, number - 1 do
    push(skipped, each)
  end
  step.reserved, step.skipped = math.max(highest, number), #skipped > 0 and skipped or nil
  return fresh
end

-- The plan of a flow says when it must be looked at (ms):
--   leases   step -> until when nobody else can claim it: the lease of one that runs, the end of the
--            delay of one that was put off
--   look     when somebody must look at the flow as a whole, or nothing
--   seen     who knows the state of this version has looked
--   due      the time it was last scheduled for
--   calls    step -> how many of its model calls are under way
--   for_money  whether the flow waits for money
local function plan_of(field)
  return field and cjson.decode(field) or {leases = {}, calls = {}}
end

-- next_look: when somebody must look at a flow; never later than at its deadline. Of a flow that waits no
-- step needs a look, but for those whose worker may be gone while their calls hold money.
local function next_look(plan, status, deadline, now)
  local at = plan.look
  for step, lease in pairs(plan.leases) do
    if status ~= 'waiting' or (plan.for_money and plan.calls[step]) then -- guard: what it holds
      at = math.min(at or lease, lease) -- guard: the earliest lease
    end
  end
  at = at or now
  return math.min(at, tonumber(deadline) or at) -- guard: not beyond the deadline
end

-- look_by: somebody must look at the flow by then, knowing at least this version of its state
local function look_by(plan, at, version)
  plan.look, plan.seen = math.min(plan.look or at, at), version
end

-- looked: a worker that knows the state of version `seen` looks at the flow
local function looked(plan, seen)
  if seen >= (plan.seen or 0) then -- guard: who knows of it
    plan.look = nil
  end
end

-- schedule: have the flow looked at at a time, be that earlier or later than before. The index is
-- lowered with it where it has to be; `lease` raises it.
local function schedule(plan, at)
  plan.due = at
  if redis.call('ZADD', DUE, 'XX', 'GT', 'CH', int_str(at), args.flow) == 0 then
    redis.call('ZADD', DUE, 'XX', 'LT', int_str(at), args.flow)
    redis.call('ZADD', INDEX, 'LT', int_str(at), args.tenant) -- guard: earlier than the index knows
  end
end

local EARLIER_ONLY, EXACTLY = math.huge, 0 -- slacks: never to a later time, or to the very one

-- schedule_with_slack: schedule a flow that somebody changes who does not look at all of it; at a
-- later time only when that gains more than `slack` ms. What is yet to be looked at stays in the
-- plan, so this never puts it off.
local function schedule_with_slack(plan, flow, now, slack)
  local at, before = next_look(plan, flow.status, flow.deadline, now), plan.due or 0
  if at < before or at - before > slack then
    schedule(plan, at)
  end
end
