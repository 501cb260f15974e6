-- Shared by the scripts that change what may be spent.
-- wake_waiting: have all flows looked at now that wait for money: there may be some. Returns the first
-- args.most_woken of them.
local function wake_waiting()
  local now, due, woken = now_ms(), {}, {}
  for _, flow in ipairs(redis.call('SMEMBERS', BUDGET_WAITS)) do
    push(due, int_str(now), flow)
    if #woken < args.most_woken then
      push(woken, flow)
    end
  end
  for i = 1, #due, CHUNK do
    redis.call('ZADD', DUE, 'XX', 'LT', unpack(due, i, math.min(i + CHUNK - 1, #due)))
  end
  if #due > 0 then -- guard: what waits is due
    redis.call('ZADD', INDEX, 'LT', int_str(now), args.tenant)
  end
  return woken
end
