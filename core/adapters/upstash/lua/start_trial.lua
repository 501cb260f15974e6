-- start_trial: have flows that are created from now on take part in a trial.
--   args     trial: what is kept of it (trials.lua), without its times and comparisons; chosen: the model
--            that the tenant chose for the task, or nothing; most: how many trials are kept
--   returns  {'ok', the trial as JSON}, {'conflict', the trial that runs there}, {'changed'}
local trial = args.trial
local field = trial.crew .. '|' .. trial.task
local stored = redis.call('HGET', TRIALS, trial.id)
if stored and cjson.decode(stored).run == trial.run then -- guard: sent again
  return {'ok', stored}
end
local entry = cjson.decode(redis.call('HGET', MODELS, field) or '{}')
if entry.trial then
  return {'conflict', entry.trial.id}
end
if entry.model ~= args.chosen then -- guard: what it is compared with
  return {'changed'}
end
local count, oldest = 0, nil
local kept = redis.call('HGETALL', TRIALS)
for i = 2, #kept, 2 do
  local other = cjson.decode(kept[i])
  count = count + 1
  if other.ended and (not oldest or other.ended < oldest.ended) then
    oldest = other
  end
end
if count >= args.most and oldest then
  redis.call('HDEL', TRIALS, oldest.id)
end
trial.started, trial.answers, trial.people = now_ms(), new_comparison(), new_comparison()
local text = cjson.encode(trial)
redis.call('HSET', TRIALS, trial.id, text)
entry.trial = {id = trial.id, run = trial.run, share = trial.share, cheaper = trial.cheaper}
redis.call('HSET', MODELS, field, cjson.encode(entry))
return {'ok', text}
