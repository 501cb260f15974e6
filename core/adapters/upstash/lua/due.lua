-- Shared by the scripts that lease what is due, of tenants in turn. due.py says what the index is.
--   KEYS  the index, then for each of args.tenants the same number of keys, its due set first
local WINDOW = 100 -- of a tenant's due set; what is beyond it is for another look

-- lease_in_turn: let each tenant that is due have its share.
--   lease    what one tenant's share is taken by. It gets {tenant, keys, window (member and score
--            in turn), now, share} and the list that it adds what it leases to; it returns how much
--            that was, and when the first is due of what it has left in the window, or nothing
--   forget   what is called with the keys of a tenant that has nothing in its due set any more
--   returns  {what was leased, for how many ms there is nothing more to do for these tenants, or '',
--            how many places in the index have changed}
-- A tenant of which more is due goes to the end of the queue: its place is the time it was served.
local function lease_in_turn(lease, forget)
  local us, taken, moved, places, soonest = now_us(), {}, 0, {}, nil
  local now, room, each = math.floor(us / 1000), args.limit, (#KEYS - 1) / #args.tenants
  for i, tenant in ipairs(args.tenants) do
    if room <= 0 then -- guard: who was not served keeps its place
      soonest = now
      break
    end
    local keys = {unpack(KEYS, 2 + each * (i - 1), 1 + each * i)}
    local window = redis.call('ZRANGE', keys[1], 0, WINDOW - 1, 'WITHSCORES')
    local turn = {tenant = tenant, keys = keys, window = window, now = now,
      share = math.min(args.per_tenant, room)}
    local leased, first = lease(turn, taken)
    room = room - leased
    if leased > 0 then
      first = math.min(first or now + args.lease_ms, now + args.lease_ms)
    end
    if #window == 2 * WINDOW then -- guard: what is beyond the window
      local beyond = tonumber(window[#window])
      first = math.min(first or beyond, beyond)
    end
    if first then
      local place = first <= now and string.format('%.3f', (us + i) / 1000) or int_str(first) -- guard: to the end of the queue
      push(places, place, tenant)
      soonest = math.min(soonest or first, first)
    else
      moved = moved + redis.call('ZREM', INDEX, tenant)
      forget(keys)
    end
  end
  if #places > 0 then
    moved = moved + redis.call('ZADD', INDEX, 'CH', unpack(places))
  end
  return {taken, soonest and int_str(math.max(0, soonest - now)) or '', moved}
end
