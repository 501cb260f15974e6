-- outbox_lease: lease the flows of which webhooks are due, to one dispatcher at a time.
--   KEYS     of each tenant its outbox and its deliveries
--   returns  as `lease_in_turn`: of each flow its tenant, its name and its record (JSON text)
local function lease(turn, taken)
  local OUTBOX, DELIVERIES = unpack(turn.keys)
  local until_ms, moved, records, first = turn.now + args.lease_ms, {}, {}, nil
  for i = 1, #turn.window, 2 do
    local flow, at = turn.window[i], tonumber(turn.window[i + 1])
    if at <= turn.now and #records < 2 * turn.share then
      local record = cjson.decode(redis.call('HGET', DELIVERIES, flow) or '{}')
      if (record.leased_until or 0) > turn.now then -- guard: whose lease is not over
        at = record.leased_until -- it was made due meanwhile; who has it will see
        first = math.min(first or at, at)
      else
        at = until_ms
        record.epoch, record.leased_until = (record.epoch or 0) + 1, at
        push(records, flow, cjson.encode(record))
        push(taken, turn.tenant, flow, records[#records])
      end
      push(moved, int_str(at), flow)
    else
      first = math.min(first or at, at)
    end
  end
  if #moved > 0 then
    redis.call('ZADD', OUTBOX, 'XX', unpack(moved))
  end
  if #records > 0 then -- guard: the epoch
    redis.call('HSET', DELIVERIES, unpack(records))
  end
  return #records / 2, first
end

return lease_in_turn(lease, function() end)
