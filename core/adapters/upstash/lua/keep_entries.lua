-- keep_entries: keep entries of the journal of a step, as long as its claim is held.
--   texts    field and entry, in turn
--   returns  {'ok'}, {'fenced'}, {'not_found'}
local flow = read(FLOW, {'status', 'step:' .. args.step})
if not flow.status then
  return {'not_found'}
end
local record = flow['step:' .. args.step]
local step = record and cjson.decode(record)
if not step
  or step.epoch ~= args.epoch -- guard: fence
  or step.state ~= 'running' -- guard: given back, done, or ended with its flow
then
  return {'fenced'}
end
run_chunked('HSET', JOURNAL, TEXTS)
return {'ok'}
