-- Fail the run by a task, which is held. ARGV: instance, token, error, event.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return 'NORUN' end
local instance, token, failure, event = arg(), number(), arg(), arg()
local task = current(run, instance, token)
if not task then return kept(run, instance, token, 'fail') or 'FENCED' end
record(run, event)
if run.status == 'running' then run.status = 'failing' end
run.error = run.error or failure
hold_task(run, instance, task)
stop(run)
keep_answer(run, instance, token, 'fail', run.status)
save(run)
return run.status
