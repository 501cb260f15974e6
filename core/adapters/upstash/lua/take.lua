-- take: lease the flows that are due, of tenants in turn; forget those that have expired.
--   KEYS     the index, then for each of args.tenants its due set, its flows and its definitions
--   returns  {tenant and flow in turn, for how many ms there is nothing more to do for these tenants, or '',
--            how many places in the index have changed}
-- A tenant of which more is due goes to the end of the queue: its place is the time it was served.
local INDEX = KEYS[1]
local moved_places = 0
local WINDOW, us = 100, now_us()
local now, room, taken, places, soonest = math.floor(us / 1000), args.limit, {}, {}, nil
for i, tenant in ipairs(args.tenants) do
  if room <= 0 then -- guard: who was not served keeps its place
    soonest = now
    break
  end
  local DUE, FLOWS, DEFINITIONS = KEYS[3 * i - 1], KEYS[3 * i], KEYS[3 * i + 1]
  local share, leased, expired, first = math.min(args.per_tenant, room), {}, {}, nil
  local window = redis.call('ZRANGE', DUE, 0, WINDOW - 1, 'WITHSCORES')
  for j = 1, #window, 2 do
    local name, at = window[j], tonumber(window[j + 1])
    if at <= now and name:sub(1, 1) == '~' then
      push(expired, name)
    elseif at <= now and #leased < 2 * share then
      push(leased, int_str(now + args.lease_ms), name)
      push(taken, tenant, name)
    else
      first = first or at
    end
  end
  if #leased > 0 then -- guard: leased
    room = room - #leased / 2
    redis.call('ZADD', DUE, 'XX', unpack(leased))
  end
  if #expired > 0 then
    local flows = {}
    for _, name in ipairs(expired) do
      push(flows, name:sub(2))
    end
    redis.call('ZREM', DUE, unpack(expired))
    redis.call('ZREM', FLOWS, unpack(flows))
  end
  if #window == 2 * WINDOW then
    first = first or now -- there may be more
  end
  if #leased > 0 then
    first = math.min(first or now + args.lease_ms, now + args.lease_ms)
  end
  if first then
    local place = first <= now and string.format('%.3f', (us + i) / 1000) or int_str(first) -- guard: to the end of the queue
    push(places, place, tenant)
    soonest = math.min(soonest or first, first)
  else
    moved_places = moved_places + redis.call('ZREM', INDEX, tenant)
    redis.call('DEL', DEFINITIONS)
  end
end
if #places > 0 then
  moved_places = moved_places + redis.call('ZADD', INDEX, 'CH', unpack(places))
end
return {taken, soonest and int_str(math.max(0, soonest - now)) or '', moved_places}
