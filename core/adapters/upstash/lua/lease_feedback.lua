-- lease_feedback: lease tasks that have something to learn, of tenants in turn.
--   args     also delay_ms: how long feedback waits for more
--   KEYS     of each tenant its tasks that have something to learn
--   returns  as `lease_in_turn`: of each task its tenant, its name, and until when it is leased
local function lease(turn, taken)
  local until_ms, leased, first = int_str(turn.now + args.lease_ms - args.delay_ms), {}, nil
  for i = 1, #turn.window, 2 do
    local task, at = turn.window[i], tonumber(turn.window[i + 1]) + args.delay_ms
    if at <= turn.now and #leased < 2 * turn.share then
      push(leased, until_ms, task)
      push(taken, turn.tenant, task, until_ms)
    else
      first = first or at
    end
  end
  if #leased > 0 then -- guard: leased to one
    redis.call('ZADD', turn.keys[1], unpack(leased))
  end
  return #leased / 2, first
end

return lease_in_turn(lease, function() end)
