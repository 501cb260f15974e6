-- Shared by the scripts that record what came of tasks in trials (core/costs/trials.py has the test, and
-- its sources). A trial is over when the script that records an outcome says so: flows that are created
-- after it are in none.
--   TRIALS   id -> {id, run, crew, task, model, cheaper, share, margin, most, judged_by, answers, people,
--            started, ended, verdict, changed_to}; `answers` and `people` are comparisons, `judged_by` is one of them
--   MODELS   `crew|task` -> {model, trial = {id, run, share, cheaper}}
local BETS, ERROR, MOST_WAITING, ENOUGH = {0.05, 0.1, 0.2, 0.4, 0.8}, 0.04, 1000, 1e9

-- new_comparison: what a signal says before the first outcome
local function new_comparison()
  local start = {}
  for i = 1, #BETS do
    start[i] = 1 / #BETS
  end
  return {in_use = {outcomes = 0, sum = 0}, cheaper = {outcomes = 0, sum = 0}, waiting = {},
    equal = start, worse = {unpack(start)}}
end

-- grow: let each bet's capital gain `gain` for each unit that it bet
local function grow(capital, gain)
  for i, bet in ipairs(BETS) do
    capital[i] = math.min(capital[i] * (1 + bet * gain), ENOUGH)
  end
end

-- compare: add an outcome to a comparison; with one of the other arm that waits it makes a pair
local function compare(signal, arm, quality, margin)
  if #signal.waiting >= MOST_WAITING and signal.ahead == arm then
    return
  end
  signal[arm].outcomes, signal[arm].sum = signal[arm].outcomes + 1, signal[arm].sum + quality
  if not signal.ahead or signal.ahead == arm then
    signal.ahead = arm
    push(signal.waiting, quality)
    return
  end
  local first = table.remove(signal.waiting, 1)
  if #signal.waiting == 0 then
    signal.ahead = nil
  end
  local difference = arm == 'cheaper' and quality - first or first - quality
  grow(signal.equal, -difference)
  grow(signal.worse, difference + margin)
end

-- capital: what the bets have come to in all
local function capital(parts)
  local total = 0
  for _, part in ipairs(parts) do
    total = total + part
  end
  return total
end

-- difference: by how much the cheaper model's mean is higher; 0 until both have one
local function difference(signal)
  local ours, theirs = signal.in_use, signal.cheaper
  if ours.outcomes == 0 or theirs.outcomes == 0 then
    return 0
  end
  return theirs.sum / theirs.outcomes - ours.sum / ours.outcomes
end

-- verdict_of: what a trial has come to, or nothing
local function verdict_of(trial)
  local answers, people = trial.answers, trial.people
  if (capital(answers.equal) + capital(people.equal)) / 2 * ERROR >= 1 then
    return 'worse'
  end
  local judge, other = answers, people
  if trial.judged_by == 'people' then -- guard: unchecked answers show nothing
    judge, other = people, answers
  end
  if capital(judge.worse) * ERROR >= 1 and difference(other) >= -trial.margin then
    return 'as_good'
  end
  return answers.in_use.outcomes + answers.cheaper.outcomes >= trial.most and 'undecided' or nil
end

-- end_trial: no flow that is created from now on is in the trial
local function end_trial(trial, now)
  trial.ended = now
  local field = trial.crew .. '|' .. trial.task
  local entry = cjson.decode(redis.call('HGET', MODELS, field))
  if entry.model then
    redis.call('HSET', MODELS, field, cjson.encode({model = entry.model}))
  else
    redis.call('HDEL', MODELS, field)
  end
end

-- record_outcome: count an outcome (core/costs/model_choices.py) once, in the trial that the flow is in;
-- end the trial where it comes to a verdict
local function record_outcome(outcome, now)
  local field = 'outcome:' .. outcome.signal .. ':' .. outcome.task
  local known = redis.call('HGET', FLOW, field)
  if known == 'counted' then -- guard: once
    return
  end
  local quality = math.min(outcome.quality, tonumber(known or '') or 1)
  redis.call('HSET', FLOW, field, outcome.final and 'counted' or tostring(quality))
  local stored = outcome.final and redis.call('HGET', TRIALS, outcome.trial)
  local trial = stored and cjson.decode(stored)
  if not trial or trial.run ~= outcome.run or trial.ended then -- guard: an earlier trial, or over
    return
  end
  if outcome.done_by and outcome.done_by ~= trial.model then -- guard: one of its arms is another model now
    trial.verdict, trial.changed_to = 'model_changed', outcome.done_by
    end_trial(trial, now)
    redis.call('HSET', TRIALS, trial.id, cjson.encode(trial))
    return
  end
  if outcome.signal == 'answers' and not outcome.checked then
    trial.judged_by = 'people' -- guard: the crew checks it no more
  end
  compare(trial[outcome.signal], outcome.arm, quality, trial.margin)
  trial.verdict = verdict_of(trial)
  if trial.verdict then
    end_trial(trial, now)
  end
  redis.call('HSET', TRIALS, trial.id, cjson.encode(trial))
end
