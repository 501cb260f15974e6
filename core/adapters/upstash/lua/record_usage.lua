-- record_usage: count calls that were made elsewhere in the roll-ups of their hours, each once by its id.
-- Ids are kept by the month in which they came, so two sets tell what came within the last month.
--   args     calls: list of {id, hour (since 1970), cell, used, facts}, all of args.day
--   returns  the ids that were counted before
local MONTHS_SECONDS = 63 * 86400
local ids = {}
for i, call in ipairs(args.calls) do
  ids[i] = call.id
end
local earlier = redis.call('SMISMEMBER', LAST_MONTH_IDS, unpack(ids))
local lately = redis.call('SMISMEMBER', THIS_MONTH_IDS, unpack(ids))
local known, new, sums, by_hour = {}, {}, {}, {}

-- summed: add a call to those of its hour and cell
local function summed(call)
  local key = int_str(call.hour) .. '|' .. table.concat(call.cell, '|')
  local sum = sums[key]
  if not sum then
    sums[key], by_hour[call.hour] = call, by_hour[call.hour] or {}
    push(by_hour[call.hour], call)
    return
  end
  for _, part in ipairs({'used', 'facts'}) do
    for name, value in pairs(call[part]) do
      sum[part][name] = (sum[part][name] or 0) + value
    end
  end
end

for i, call in ipairs(args.calls) do
  if earlier[i] == 1 or lately[i] == 1 then -- guard: counted before
    push(known, call.id)
  else
    push(new, call.id)
    summed(call)
  end
end
if #new > 0 then
  for hour, calls in pairs(by_hour) do
    spend(hour, calls)
  end
  redis.call('SADD', THIS_MONTH_IDS, unpack(new))
  redis.call('EXPIRE', THIS_MONTH_IDS, MONTHS_SECONDS)
end
return known
