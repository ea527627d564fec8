-- Settle a task and go on. ARGV: instance, token, nonce, grace ms, event, values, changes, ready, groups, sample, worker,
-- inner tasks (settled with it, unless the run is cancelled: then the answer is ALONE), claims to try.
-- Answer: what is kept (nonce, status, ready entries), then the claim's instance and the claim.
local instance, token, nonce, grace, event = arg(), number(), arg(), number(), arg()
local puts, refs = values_of_call()
local changes, ahead = {}, {'t:' .. instance, 'a:' .. instance}
for i = 1, number() do
  changes[i] = {arg(), number(), number()}
  ahead[#ahead + 1] = 'c:' .. changes[i][1]
end
local ready, groups, sample, asks = ready_of_call(), groups_of_call(), sample_of_call(), {}
local worker, inner = arg(), {}
for i = 1, number() do inner[i] = {arg(), arg()} end
for i = 1, number() do
  asks[i] = asked()
  ahead[#ahead + 1] = 't:' .. asks[i].instance
end
local run, fault = open(ARGV[2], ahead)
if fault then return fault end
if not run then return {'NORUN'} end

local task = current(run, instance, token)
if not task then
  local answer = kept(run, instance, token, 'commit')
  if not answer then return {'FENCED'} end
  for _, ask in ipairs(asks) do
    local next_task = task_of(run, ask.instance)
    if next_task and next_task.state == 'e' and next_task.nonce == ask.nonce then
      return {answer, ask.instance, (grant(run, ask, next_task))}
    end
  end
  return {answer}
end
fault = missing(refs)
if fault then return fault end

if #inner > 0 and run.status == 'cancelling' then return {'ALONE'} end -- what executes in a failing run finishes

-- From here on everything is written.
task.state, task.nonce, task.worker = 'd', '-', '-'
write_task(run, instance, task)
redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)
run.live = run.live - 1
record(run, event)
local by = worker ~= '' and '{"worker":"' .. worker .. '"}' or nil
for _, one in ipairs(inner) do
  told(run, 'task.ready', one[1])
  told(run, 'task.started', one[1], by)
  record(run, one[2])
  put(run, 't:' .. one[1], 'd 1 1 0 0 - -')
end
put_values(run, puts, refs)
for _, change in ipairs(changes) do
  local name = change[1]
  local value = tonumber(get(run, 'c:' .. name) or change[2]) + change[3]
  if value ~= 0 then
    put(run, 'c:' .. name, value)
  else
    put(run, 'c:' .. name, false)
    local action, target = string.match(name, '^(%a+):?(.*)$')
    if action == 'ready' then
      ready[#ready + 1] = {target}
    elseif action == 'free' then
      free_slots(run, target)
    else
      run.ended = true
    end
  end
end
local fresh = nil
if run.status == 'running' then
  local singles = {}
  for _, entry in ipairs(ready) do singles[entry[1]] = not entry[2] end
  for i = #asks, 1, -1 do
    if singles[asks[i].instance] then fresh = asks[i].instance end
  end
end
group_tasks(run, groups)
make_ready(run, ready, now + grace, fresh)
remember_sample(sample)
end_if_over(run)
local lines = {nonce, run.status}
if run.status == 'running' then -- a stopping run holds them
  for _, entry in ipairs(ready) do lines[#lines + 1] = entry[1] .. '|' .. (entry[2] or '') end
end
local reply = {table.concat(lines, '\n')}
keep_answer(run, instance, token, 'commit', reply[1])
if run.status == 'running' then
  for _, ask in ipairs(asks) do
    local claimed = (fresh == nil or ask.instance == fresh) and claim(run, ask, fresh ~= nil) or {''}
    if claimed[1] == 'OK' then
      reply[2], reply[3] = ask.instance, claimed
      break
    end
  end
end
save(run)
return reply
