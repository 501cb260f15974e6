-- feedback_forgotten: segments and models hold nothing any more of what subjects said up to a number;
-- readers are told.
--   args     tenant, task, subjects: list of subject and number
for _, of in ipairs(args.subjects) do
  local subject, number = unpack(of)
  local asked = redis.call('ZSCORE', FORGOTTEN, subject)
  if asked and tonumber(asked) <= number then -- guard: asked again since
    redis.call('ZREM', FORGOTTEN, subject)
  end
end
append('x', '')
return 'ok'
