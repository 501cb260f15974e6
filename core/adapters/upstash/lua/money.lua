-- Shared by the scripts that count what model calls consumed.
--   a call   {step, epoch, number, model, crew, task, bound}, as core/costs/budgets.py has it
--   sums     core/costs/usage.py: name -> whole number
local SPEND_SECONDS = 400 * 86400

-- added: sums (JSON text, or nothing yet) with more added, as JSON text
local function added(before, ...)
  local total, parts = cjson.decode(before or '{}'), {}
  for _, more in ipairs({...}) do
    for name, value in pairs(more) do
      total[name] = (total[name] or 0) + value
    end
  end
  for name, value in pairs(total) do
    put(parts, '"' .. name .. '":' .. whole(value))
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- lost: tell the calls under way of a step, or all, from the rest. Nobody can know what they cost:
-- they count at their bounds.
--   open     the field `calls`
--   returns  the lost ones, each with `used`; the field without them
local function lost(open, step)
  local gone, left = {}, {}
  for id, call in pairs(cjson.decode(open or '{}')) do
    if step == nil or call.step == step then
      call.used = call.bound
      call.used.lost_calls = (call.used.lost_calls or 0) + 1
      put(gone, call)
    else
      left[id] = call
    end
  end
  return gone, cjson.encode(left)
end

-- another_day: whether calls are to be counted, and the adapter named the wrong day's key for it
local function another_day(calls, now)
  return #calls > 0 and math.floor(now / DAY_MS) ~= args.day
end

-- count: add calls, each with `used`, to a roll-up.
--   before   the flow's usage
--   returns  the flow's usage after it
local function count(calls, key, before)
  local names, used, total, written = {}, {}, before, {}
  for _, call in ipairs(calls) do
    local name = call.model .. '|' .. call.crew .. '|' .. call.task
    if not used[name] then
      used[name] = {}
      put(names, name)
    end
    put(used[name], call.used)
    total = added(total, call.used)
  end
  for i, known in ipairs(redis.call('HMGET', key, unpack(names))) do
    put(written, names[i], added(known, unpack(used[names[i]])))
  end
  if redis.call('HSET', key, unpack(written)) > 0 then
    redis.call('EXPIRE', key, SPEND_SECONDS)
  end
  return total
end
