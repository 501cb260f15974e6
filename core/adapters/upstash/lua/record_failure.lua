-- record_failure: count a failure outside of any step, once per nonce.
--   returns  {'ok', failures since the last commit}, {'not_found'}
local flow = read(FLOW, {'status', 'failures', 'failed_by'})
if not flow.status then
  return {'not_found'}
end
local failures = tonumber(flow.failures or 0)
if flow.failed_by ~= args.nonce and not terminal(flow.status) then -- guard: once and not after the end
  failures = failures + 1
  redis.call('HSET', FLOW, 'failures', int_str(failures), 'failed_by', args.nonce)
end
return {'ok', failures}
