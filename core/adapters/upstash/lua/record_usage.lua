-- record_usage: count calls that were made elsewhere in the roll-ups of their hours, each once by its id.
-- Ids are kept by the month in which they came, so two hashes tell what came within the last month:
-- id -> digest of the call, then that of its batch.
--   args     calls: list of {id, hour (since 1970), cell, used, facts, digest}, all of args.day; batch: its digest
--   returns  of each call: 'new', 'known' or 'conflict'; the same for the same batch, however often it comes
local MONTHS_SECONDS = 63 * 86400
local ids = {}
for i, call in ipairs(args.calls) do
  ids[i] = call.id
end
local earlier = redis.call('HMGET', LAST_MONTH_IDS, unpack(ids))
local lately = redis.call('HMGET', THIS_MONTH_IDS, unpack(ids))
local fates, new, sums, by_hour = {}, {}, {}, {}

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

-- fate_of: what is told of a call whose id stands for `known`
local function fate_of(call, known)
  if known == call.digest .. args.batch then -- guard: its own batch, sent again
    return 'new'
  end
  return string.sub(known, 1, #call.digest) == call.digest and 'known' or 'conflict'
end

for i, call in ipairs(args.calls) do
  local known = lately[i] or earlier[i]
  if known then -- guard: counted before
    fates[i] = fate_of(call, known)
  else
    fates[i] = 'new'
    push(new, call.id)
    push(new, call.digest .. args.batch)
    summed(call)
  end
end
if #new > 0 then
  for hour, calls in pairs(by_hour) do
    spend(hour, calls)
  end
  redis.call('HSET', THIS_MONTH_IDS, unpack(new))
  redis.call('EXPIRE', THIS_MONTH_IDS, MONTHS_SECONDS)
end
return fates
