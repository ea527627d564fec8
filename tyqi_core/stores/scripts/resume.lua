-- Make the held tasks of a stopped run ready again. ARGV: nonce, grace ms.
-- The one script whose work grows with what it is asked for: a person's rare request, never a worker's.
local run, fault = open(ARGV[2])
if fault then return fault end
if not run then return {'NORUN'} end
local nonce, grace = arg(), number()
if redis.call('HGET', run.key, 'resumed') == nonce then
  return {'AGAIN'}
end
if run.status ~= 'failed' and run.status ~= 'cancelled' then return {'REFUSED', run.status} end
local held = redis.call('LRANGE', run.key .. ':h', 0, -1)
redis.call('UNLINK', run.key .. ':h')
redis.call('HDEL', run.key, 'error', 'cancelled')
redis.call('HSET', run.key, 'resumed', nonce)
redis.call('ZREM', prefix .. 'ended', run.id)
run.status, run.error = 'running', nil
told(run, 'run.resumed', '')
local reply = {'OK'}
for _, path in ipairs(held) do
  local task = task_of(run, path)
  if task then
    task.state, task.tries, task.deaths, task.after = 'w', 0, 0, 0
    write_task(run, path, task)
    put(run, 'a:' .. path, false)
  end
  local items = get(run, 'q:' .. path)
  run.live = run.live + tonumber(get(run, 'u:' .. path) or '1')
  enter(run, path, now + grace)
  told(run, 'task.ready', path, items and '{"count":' .. items .. '}')
  reply[#reply + 1] = path .. '|' .. (items or '')
end
end_if_over(run)
save(run)
return reply
