-- save_budget: store, replace or remove a budget, or the tenant's time zone. What waits for money is
-- due at once: it may have some now.
--   args     name: the budget's id, or `~zone`; definition: JSON text, or nothing to remove it
--   returns  {'ok'}, {'not_found'} where there is nothing to remove, {'too_many'}
local known = redis.call('HEXISTS', BUDGETS, args.name) == 1
if not args.definition then
  if redis.call('HDEL', BUDGETS, args.name) == 0 then
    return {'not_found'}
  end
elseif not known and args.name ~= '~zone'
  and redis.call('HLEN', BUDGETS) - redis.call('HEXISTS', BUDGETS, '~zone') >= args.most
then
  return {'too_many'}
else
  redis.call('HSET', BUDGETS, args.name, args.definition)
end
local now, due = now_ms(), {}
for _, flow in ipairs(redis.call('SMEMBERS', BUDGET_WAITS)) do
  push(due, int_str(now), flow)
end
for i = 1, #due, CHUNK do
  redis.call('ZADD', DUE, 'XX', 'LT', unpack(due, i, math.min(i + CHUNK - 1, #due)))
end
if #due > 0 then -- guard: what waits is due
  redis.call('ZADD', INDEX, 'LT', int_str(now), args.tenant)
end
return {'ok'}
