-- lease: lease the flows that are due; forget those that have expired.
--   KEYS     of each tenant its due set, its flows and its definitions
--   returns  as `lease_in_turn`: of each flow its tenant and its name
local function lease(turn, taken)
  local DUE, FLOWS = unpack(turn.keys)
  local leased, expired, flows, first = {}, {}, {}, nil
  for i = 1, #turn.window, 2 do
    local name, at = turn.window[i], tonumber(turn.window[i + 1])
    if at <= turn.now and name:sub(1, 1) == '~' then
      push(expired, name)
      push(flows, name:sub(2))
    elseif at <= turn.now and #leased < 2 * turn.share then
      push(leased, int_str(turn.now + args.lease_ms), name)
      push(taken, turn.tenant, name)
    else
      first = first or at
    end
  end
  if #leased > 0 then -- guard: leased
    redis.call('ZADD', DUE, 'XX', unpack(leased))
  end
  if #expired > 0 then
    redis.call('ZREM', DUE, unpack(expired))
    redis.call('ZREM', FLOWS, unpack(flows))
  end
  return #leased / 2, first
end

local function forget(keys)
  redis.call('DEL', keys[3])
end

return lease_in_turn(lease, forget)
