-- add_steps: add the steps that a flow does not have yet.
--   args     steps: {id, record (as `step:` fields hold it), public (JSON text), ...}
--   returns  {'ok', ...} as `state_since` says, {'fenced'}, {'not_found'}
local FLOW, LOG = unpack(KEYS)
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
  local now, version = now_ms(), flow.ver + 1
  local changed = delta({'/version', int_str(version), '/updated_ms', int_str(now)}, shown)
  flow.seq = int_str(append(LOG, args.channel, tonumber(flow.seq), {'STATE_DELTA', changed}))
  flow.ver, flow.updated = int_str(version), int_str(now)
  flow.changed = remember(flow.changed, version, added)
  push(written, 'seq', flow.seq, 'ver', flow.ver, 'updated', flow.updated,
    'steps', int_str(order), 'changed', flow.changed)
  run_chunked('HSET', FLOW, written)
end
return state_since(FLOW, flow, flow.changed, args.known, records)
