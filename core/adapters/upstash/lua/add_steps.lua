-- add_steps: add the steps that a flow does not have yet.
--   args     steps: {id, record (as `step:` fields hold it), public (JSON text), ...}
--   returns  {'ok', ...} as `state_since` says, {'fenced'}, {'not_found'}
local names = {'changed', 'steps', unpack(HEAD)}
for _, step in ipairs(args.steps) do
  push(names, 'step:' .. step.id)
end
local flow = read(FLOW, names)
if not flow.status then
  return {'not_found'}
end
if terminal(flow.status) then -- guard: the end is final
  return {'fenced'}
end
local order, shown, written, added, records = tonumber(flow.steps), {}, {}, {}, {}
for _, step in ipairs(args.steps) do
  local field = 'step:' .. step.id
  if not flow[field] then -- guard: once
    step.record.order, order = order, order + 1
    flow[field] = cjson.encode(step.record)
    records[step.id] = flow[field]
    push(shown, step.public)
    push(added, step.id)
    push(written, field, flow[field])
  end
end
if #added > 0 then
  push(written, 'steps', int_str(order))
  change(flow, now_ms(), {}, {new_steps = shown, names = added, fields = written})
end
return state_since(flow, args.known, records)
