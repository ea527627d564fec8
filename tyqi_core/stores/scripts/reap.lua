-- Take tasks from the dead: leases that have expired. ARGV: limit, deaths at which a task is quarantined.
local limit, most = number(), number()
local done = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', now, 'LIMIT', 0, limit)) do
  local id, instance = string.match(member, '^([^|]*)|(.*)$')
  local run = open(id)
  local task = run and task_of(run, instance)
  redis.call('ZREM', prefix .. 'leases', member)
  if task and task.state == 'e' then
    done = done + 1
    task.deaths, task.tries, task.nonce = task.deaths + 1, task.tries - 1, '-'
    local dead = task.worker == '-' and 'a worker' or 'worker ' .. task.worker
    local lost = '{"code":"WORKER_LOST","message":"' .. dead .. ' was not heard of any more","task":"' .. instance .. '"}'
    if run.status ~= 'running' then
      hold_task(run, instance, task)
    elseif task.deaths >= most then
      local failure = '{"code":"QUARANTINED","message":"' .. task.deaths ..
        ' workers were lost while they executed it","task":"' .. instance .. '"}'
      told(run, 'task.quarantined', instance, '{"error":' .. failure .. ',"deaths":' .. task.deaths .. '}')
      run.status, run.error = 'failing', run.error or failure
      hold_task(run, instance, task, 'q')
      stop(run)
    else
      task.state, task.after = 'w', 0
      write_task(run, instance, task)
      enter(run, instance, now)
      told(run, 'task.retried', instance, '{"error":' .. lost .. ',"deaths":' .. task.deaths .. '}')
    end
    save(run)
  end
end
return done
