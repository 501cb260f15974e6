-- choose_model: have flows that are created from now on do a task by a model.
--   args     field: `crew|task`; model, or nothing for that of the deployment
--   returns  {'ok'}, {'conflict', the trial that runs there}
local entry = cjson.decode(redis.call('HGET', MODELS, args.field) or '{}')
if entry.trial then -- guard: its arms would be others
  return {'conflict', entry.trial.id}
end
if args.model then
  redis.call('HSET', MODELS, args.field, cjson.encode({model = args.model}))
else
  redis.call('HDEL', MODELS, args.field)
end
return {'ok'}
