-- Stop a run: nothing new starts.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return 'NORUN' end
if run.status == 'running' then
  run.status = 'cancelling'
  end_if_over(run)
  stop(run)
  save(run)
end
return run.status
