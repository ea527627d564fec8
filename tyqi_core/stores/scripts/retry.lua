-- End the attempt; the task waits. ARGV: instance, token, delay ms, event.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return 'NORUN' end
local instance, token, delay, event = arg(), number(), number(), arg()
local task = current(run, instance, token)
if not task then return kept(run, instance, token, 'retry') or 'FENCED' end
task.state, task.nonce, task.after = 'w', '-', now + delay
write_task(run, instance, task)
redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)
enter(run, instance, now + delay, now + delay)
record(run, event)
if run.status ~= 'running' then stop(run) end
keep_answer(run, instance, token, 'retry', 'OK')
save(run)
return 'OK'
