-- create: begin a flow, once.
--   args     tasks: list of {name, whether trials leave it alone}
--   texts    the definition, then fields of the flow's hash, name and value in turn
--   returns  {'created'}, {'exists'} if this request made it before, {'conflict'} if another did
local digest = redis.call('HGET', FLOW, 'digest')
if digest then
  return {digest == args.digest and 'exists' or 'conflict'} -- guard: another request's flow
end

-- choice_of: the model that does a task (core/costs/model_choices.py), or nothing for the deployment's
local function choice_of(entry, is_critical)
  local choice, trial = {model = entry.model}, not is_critical and entry.trial
  if trial then
    local place = tonumber(redis.sha1hex(trial.run .. args.flow):sub(1, 8), 16) / 2 ^ 32 / trial.share
    if place < 2 then
      choice.trial, choice.run, choice.arm = trial.id, trial.run, place < 1 and 'cheaper' or 'in_use'
      choice.model = place < 1 and trial.cheaper or entry.model
    end
  end
  return next(choice) and choice
end

-- choices: the models of the flow's tasks that have one of their own, as JSON text
local function choices()
  local found, fields = {}, {}
  for i, task in ipairs(args.tasks) do
    fields[i] = args.crew .. '|' .. task[1]
  end
  local entries = read(MODELS, fields)
  for i, task in ipairs(args.tasks) do
    local entry = entries[fields[i]]
    found[task[1]] = entry and choice_of(cjson.decode(entry), task[2]) or nil
  end
  return next(found) and cjson.encode(found)
end

local now_us = now_us()
local now = math.floor(now_us / 1000)
local last, written = append(0, {}), {}
for i = 2, #TEXTS do
  push(written, TEXTS[i])
end
push(written, 'digest', args.digest, 'status', 'queued', 'seq', int_str(last), 'ver', '1',
  'epoch', '0', 'created', int_str(args.created_ms), 'order', int_str(now_us),
  'updated', int_str(args.created_ms), 'steps', int_str(args.steps))
local models = choices()
if models then
  push(written, 'models', models)
end
if args.limit_ms then
  push(written, 'deadline', int_str(now + args.limit_ms))
end
run_chunked('HSET', FLOW, written)
redis.call('HSETNX', DEFINITIONS, args.definition_digest, TEXTS[1])
redis.call('ZADD', FLOWS, int_str(now_us), args.flow)
redis.call('ZADD', DUE, int_str(now), args.flow)
redis.call('ZADD', INDEX, 'LT', int_str(now), args.tenant)
if args.webhooks then
  redis.call('ZADD', OUTBOX, int_str(now), args.flow)
  redis.call('ZADD', OUTBOX_INDEX, 'LT', int_str(now), args.tenant)
end
return {'created'}
