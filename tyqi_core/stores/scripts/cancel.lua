-- Stop a run: nothing new starts. ARGV: 1 if what executes is given up as well: held, its attempts fenced. That
-- looks at every task of the run: a person's rare request.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return 'NORUN' end
local given_up = arg() == '1'
if TERMINAL[run.status] then return run.status end
redis.call('HSET', run.key, 'cancelled', 1) -- heartbeats are told, those of a run that was failing already too
if run.status == 'running' then
  run.status = 'cancelling'
  end_if_over(run)
  stop(run)
  save(run)
end
if given_up and not TERMINAL[run.status] then
  local fields = redis.call('HGETALL', run.key)
  for i = 1, #fields, 2 do
    local instance = string.match(fields[i], '^t:(.*)$')
    local task = instance and task_of(run, instance)
    if task and task.state == 'e' then hold_task(run, instance, task) end
  end
  save(run)
end
return run.status
