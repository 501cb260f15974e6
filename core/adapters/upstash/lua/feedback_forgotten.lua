-- feedback_forgotten: segments and models hold nothing of these subjects any more; readers are told.
--   args     tenant, task, subjects
for _, subject in ipairs(args.subjects) do
  redis.call('ZREM', FORGOTTEN, subject)
end
append('x', '')
return 'ok'
