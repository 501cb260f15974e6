-- outbox_lease: lease the flows of which webhooks are due, of tenants in turn.
--   KEYS     the index, then for each of args.tenants its outbox and its deliveries
--   returns  {tenant, flow and record (JSON text) in turn, for how many ms nothing more is due of
--            these tenants, or '', how many places in the index have changed}
-- A tenant of which more is due goes to the end of the queue: its place is the time it was served.
local INDEX = KEYS[1]
local moved_places = 0
local WINDOW, us = 100, now_us()
local now, room, taken, places, soonest = math.floor(us / 1000), args.limit, {}, {}, nil
for i, tenant in ipairs(args.tenants) do
  if room <= 0 then -- who was not served keeps its place
    soonest = now
    break
  end
  local OUTBOX, DELIVERIES = KEYS[2 * i], KEYS[2 * i + 1]
  local share, leased, first, moved, records = math.min(args.per_tenant, room), 0, nil, {}, {}
  local window = redis.call('ZRANGE', OUTBOX, 0, WINDOW - 1, 'WITHSCORES')
  for j = 1, #window, 2 do
    local flow, at = window[j], tonumber(window[j + 1])
    if at <= now and leased < share then
      local record = cjson.decode(redis.call('HGET', DELIVERIES, flow) or '{}')
      if (record.leased_until or 0) > now then -- one dispatcher at a time
        at = record.leased_until -- it was made due meanwhile; who has it will see
      else
        at, leased = now + args.lease_ms, leased + 1
        record.epoch, record.leased_until = (record.epoch or 0) + 1, at
        push(records, flow, cjson.encode(record))
        push(taken, tenant, flow, records[#records])
      end
      push(moved, int_str(at), flow)
    end
    first = math.min(first or at, at)
  end
  if #moved > 0 then
    redis.call('ZADD', OUTBOX, 'XX', unpack(moved))
  end
  if #records > 0 then
    room = room - leased
    redis.call('HSET', DELIVERIES, unpack(records))
  end
  if #window == 2 * WINDOW then
    first = math.min(first, now) -- there may be more
  end
  if first then
    push(places, first <= now and string.format('%.3f', (us + i) / 1000) or int_str(first), tenant)
    soonest = math.min(soonest or first, first)
  else
    moved_places = moved_places + redis.call('ZREM', INDEX, tenant)
  end
end
if #places > 0 then
  moved_places = moved_places + redis.call('ZADD', INDEX, 'CH', unpack(places))
end
return {taken, soonest and int_str(math.max(0, soonest - now)) or '', moved_places}
