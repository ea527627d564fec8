-- Give a task back. ARGV: instance, token, 1 if a running run makes it ready again. No try and no death is counted then.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return 'NORUN' end
local instance, token, again = arg(), number(), arg() == '1'
local task = current(run, instance, token)
if not task then return kept(run, instance, token, 'release') or 'FENCED' end
if run.status ~= 'running' then
  hold_task(run, instance, task)
elseif again then
  task.state, task.nonce, task.after, task.tries = 'w', '-', 0, task.tries - 1
  write_task(run, instance, task)
  redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)
  enter(run, instance, now)
else
  return 'FENCED'
end
keep_answer(run, instance, token, 'release', run.status)
save(run)
return run.status
