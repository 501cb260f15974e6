-- save_budget: store, replace or remove a budget, or the tenant's time zone. What waits for money is
-- due at once where it may have some now: each look at it costs three versions of its state.
--   args     name: the budget's id, or `~zone`; definition: JSON text, or nothing to remove it
--   returns  {'ok', flows that wait for money}, {'not_found'} where there is nothing to remove, {'too_many'},
--            {'another_scope'}: what it has spent is of the old one
local known = redis.call('HGET', BUDGETS, args.name)

-- may_give: whether a call may fit now that did not before
local function may_give()
  if not args.definition or args.name == '~zone' then
    return args.definition ~= known
  end
  local before, now = known and cjson.decode(known), cjson.decode(args.definition)
  return known and (now.limit > before.limit or before.hard and not now.hard
    or now.name ~= before.name or now.window ~= before.window)
end

if not args.definition then
  if redis.call('HDEL', BUDGETS, args.name) == 0 then
    return {'not_found'}
  end
elseif not known and args.name ~= '~zone'
  and redis.call('HLEN', BUDGETS) - redis.call('HEXISTS', BUDGETS, '~zone')
    - redis.call('HEXISTS', BUDGETS, '~prices') >= args.most
then
  return {'too_many'}
elseif known and args.name ~= '~zone'
  and cjson.decode(known).scope ~= cjson.decode(args.definition).scope -- guard: an account is of one scope
then
  return {'another_scope'}
else
  redis.call('HSET', BUDGETS, args.name, args.definition)
end
return {'ok', may_give() and wake_waiting() or {}}
