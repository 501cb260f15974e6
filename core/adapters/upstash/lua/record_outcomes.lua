-- record_outcomes: count what a person thinks of a flow in the trials that it is in.
--   args     outcomes: list of them (core/costs/model_choices.py)
--   returns  {'ok'}, {'not_found'}
if redis.call('EXISTS', FLOW) == 0 then -- guard: a hash that nobody would remove
  return {'not_found'}
end
local now = now_ms()
for _, outcome in ipairs(args.outcomes) do
  record_outcome(outcome, now)
end
return {'ok'}
