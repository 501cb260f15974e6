-- Shared by the scripts that count what model calls consumed.
--   a call   {number, bound, cell, holds}, in the record of its step under its id
--   a cell   {crew, task, agent, subject, model}: the sum of the roll-ups that a call adds to
--   sums     core/costs/usage.py: name -> whole number
local HOUR_MS, SPEND_SECONDS, FOLDED = 3600000, 400 * 86400, '~'
local NAMELESS = {FOLDED, FOLDED, FOLDED, FOLDED, FOLDED}

-- added: sums (JSON text, or nothing yet) with more added, as JSON text
--   facts    others to add, or nothing (core/costs/facts.py)
local function added(before, more, facts)
  local total, parts = cjson.decode(before or '{}'), {}
  for _, sums in ipairs({more, facts}) do
    for name, value in pairs(sums) do
      total[name] = (total[name] or 0) + value
    end
  end
  for name, value in pairs(total) do
    push(parts, '"' .. name .. '":' .. int_str(value)) -- guard: all digits
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- lost_calls: the calls of a step that were never settled, each with `used`. Nobody can know now what
-- they cost: they count at their bounds. The step remembers them (`lost`), and the hour in which they are
-- counted: an answer that comes late corrects that.
local function lost_calls(step, now)
  local lost = {}
  for id, call in pairs(step.calls or {}) do
    local used = call.bound
    used.lost_calls = (used.lost_calls or 0) + 1
    used.lost_nanodollars = (used.lost_nanodollars or 0) + (used.cost_nanodollars or 0)
    call.used = used
    push(lost, call) -- guard: it may have been made
    step.lost = step.lost or {}
    step.lost[id] = {used = used, cell = call.cell, hour = math.floor(now / HOUR_MS), holds = call.holds}
  end
  return lost
end

-- cell_name: a cell as a text. Its subject may hold any visible character: what would be read otherwise is
-- `~` and two hex digits there (core/identity.py, unescaped). The model may as well, and is the last.
local function cell_name(cell)
  local crew, task, agent, subject, model = unpack(cell)
  if subject ~= FOLDED then
    subject = subject:gsub('[|~]', {['|'] = '~7C', ['~'] = '~7E'})
  end
  return table.concat({crew, task, agent, subject, model}, '|')
end

-- field_of: the field of a roll-up that a cell's sums are in. Where there are too many, new cells
-- count without their subject, and at last without any name (core/costs/rollup.py). That is the same
-- field whenever it is asked for, since no cell is ever removed.
--   rollup   {key, most (cells), known (field -> sums), count (of cells, once it is known)}
--   prefix   what stands before the cell's names
local function field_of(rollup, prefix, cell)
  local crew, task, agent, _, model = unpack(cell)
  local field = prefix .. cell_name(cell)
  if rollup.known[field] then
    return field
  end
  rollup.count = rollup.count or redis.call('HLEN', rollup.key)
  if rollup.count >= rollup.most then
    field = prefix .. cell_name({crew, task, agent, FOLDED, model})
    if rollup.count >= rollup.most * 1.25 and redis.call('HEXISTS', rollup.key, field) == 0 then
      field = prefix .. cell_name(NAMELESS)
    end
    rollup.known[field] = rollup.known[field] or redis.call('HGET', rollup.key, field) or nil
  end
  rollup.count = rollup.count + (rollup.known[field] and 0 or 1)
  return field
end

-- add_to: add calls, each with `used` and `cell`, to a roll-up; that of a day, without a prefix, has their
-- facts as well
local function add_to(key, most, prefix, calls)
  local fields, written = {}, {}
  for _, call in ipairs(calls) do
    call.cell = call.cell or NAMELESS -- another version has reserved it
    push(fields, prefix .. cell_name(call.cell))
  end
  local rollup = {key = key, most = most, known = read(key, fields)}
  for _, call in ipairs(calls) do
    local field = field_of(rollup, prefix, call.cell)
    local facts = prefix == '' and call.facts or nil
    rollup.known[field] = added(rollup.known[field], call.used, facts) -- guard: the calls before
  end
  for field, sums in pairs(rollup.known) do
    push(written, field, sums)
  end
  if redis.call('HSET', key, unpack(written)) > 0 then
    redis.call('EXPIRE', key, SPEND_SECONDS)
  end
end

-- spend: add calls, each with `used`, `cell` and perhaps `facts`, to the roll-ups of an hour, which is counted from 1970.
--   returns  false if the caller's clock is more than a day from that hour
local function spend(hour, calls)
  local day = math.floor(hour / 24) - args.day + 2
  local by_day = ({YESTERDAY, TODAY, TOMORROW})[day]
  if not by_day then
    return false
  end
  local by_hour = ({YESTERDAY_HOURS, TODAY_HOURS, TOMORROW_HOURS})[day]
  add_to(by_day, args.most_cells, '', calls)
  add_to(by_hour, args.most_hour_cells, string.format('%02d|', hour % 24), calls)
  return true
end

-- charge: count calls, each with `used`, in the roll-ups of this hour and in the flow's usage. Comes
-- before all else that is written.
--   changes, fields  of the flow's state and hash: the usage is added to them
--   returns          false if this is not possible for the caller's wrong clock
local function charge(flow, now, calls, changes, fields)
  if #calls == 0 then
    return true
  end
  if not spend(math.floor(now / HOUR_MS), calls) then
    return false
  end
  local usage, moves = flow.usage, {}
  for _, call in ipairs(calls) do
    usage = added(usage, call.used)
    push(moves, {holds = call.holds, free = call.bound.cost_nanodollars or 0,
      spend = call.used.cost_nanodollars or 0})
  end
  flow.alerts = spend_holds(moves, fields, now)
  push(changes, '/usage', usage)
  push(fields, 'usage', usage)
  return true
end
