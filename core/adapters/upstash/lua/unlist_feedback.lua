-- unlist_feedback: take a task off the list whose objects are removed, too.
--   args     tenant, task
if place_of() == GOING then -- guard: nothing was said since
  redis.call('ZREM', LISTED, args.task)
end
return 'ok'
