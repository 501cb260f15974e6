-- stop_trial: end a trial without a verdict; one that is over stays as it is.
--   returns  {'ok', the trial as JSON}, {'not_found'}
local stored = redis.call('HGET', TRIALS, args.trial)
if not stored then
  return {'not_found'}
end
local trial = cjson.decode(stored)
if not trial.ended then -- guard: over
  end_trial(trial, now_ms())
  stored = cjson.encode(trial)
  redis.call('HSET', TRIALS, trial.id, stored)
end
return {'ok', stored}
