-- add_steps: add the steps that a flow does not have yet.
--   KEYS  {t}:flow:f  {t}:log:f
--   args  steps: {id, record (as `step:` fields hold it), public (JSON text), ...}
--   returns  {'ok', the whole hash after it}, {'fenced'}, {'gone'}
local flow, order = fields(redis.call('HGETALL', KEYS[1])), 0
if not flow.status then
  return {'gone'}
end
if terminal(flow.status) then
  return {'fenced'}
end
for name in pairs(flow) do
  order = order + (name:sub(1, 5) == 'step:' and 1 or 0)
end
local shown, written = {}, {}
for _, step in ipairs(args.steps) do
  local field = 'step:' .. step.id
  if not flow[field] then
    step.record.order, order = order, order + 1
    flow[field] = cjson.encode(step.record)
    put(shown, step.public)
    put(written, field, flow[field])
  end
end
if #shown > 0 then
  local now, version = now_ms(), flow.ver + 1
  local changed = delta({'/version', whole(version), '/updated_ms', whole(now)}, shown)
  put(written, 'seq', whole(append(tonumber(flow.seq), changed)), 'ver', whole(version),
    'updated', whole(now))
  set(written, flow)
end
return {'ok', flat(flow)}
