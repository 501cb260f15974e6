-- save_price: store, replace or remove what a model costs the tenant. Calls that are priced by what was
-- known before are refused from now on (reserve.lua), and what waits for money is due at once.
--   args     model; since: the day from which the price holds, '' for always, nothing to remove all of
--            the model; entry: JSON text, or nothing to remove it
--   returns  {'ok', flows that wait for money}, {'not_found'} where there is nothing to remove, {'too_many'}
local function fields_of(model)
  local found = {}
  for _, field in ipairs(redis.call('HKEYS', PRICES)) do
    if field:match('^[%d-]*|(.*)$') == model then
      push(found, field)
    end
  end
  return found
end

if args.entry then
  local field = args.since .. '|' .. args.model
  if redis.call('HEXISTS', PRICES, field) == 0
    and redis.call('HLEN', PRICES) - redis.call('HEXISTS', PRICES, '~version') >= args.most
  then
    return {'too_many'}
  end
  redis.call('HSET', PRICES, field, args.entry)
else
  local fields = args.since and {args.since .. '|' .. args.model} or fields_of(args.model)
  if #fields == 0 or redis.call('HDEL', PRICES, unpack(fields)) == 0 then
    return {'not_found'}
  end
end
redis.call('HSET', PRICES, '~version', redis.call('HINCRBY', BUDGETS, '~prices', 1)) -- guard: by old prices
return {'ok', wake_waiting()}
