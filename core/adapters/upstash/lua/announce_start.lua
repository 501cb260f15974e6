-- announce_start: tell that a worker loads for a flow of which no step has begun, once.
--   returns  {'ok'}, {'not_found'}
local flow = read(FLOW, {'status', 'seq', 'ver', 'starting'})
if not flow.status then
  return {'not_found'}
end
if flow.status ~= 'queued' -- guard: it has begun
  or flow.starting -- guard: told before
then
  return {'ok'}
end
local now = int_str(now_ms())
change(flow, now, {}, {members = {'/starting_ms', now}, fields = {'starting', now}})
return {'ok'}
