-- Outbox entries that are due; each is put off by a grace that doubles. ARGV: limit, grace ms.
-- Answer: run, path, first item or '', behind the last item or '', plan.
local limit, grace = number(), number()
local outbox = prefix .. 'outbox'

-- What stopping runs still have in the outbox is held, as a claim would do.
local function hold_waiting(run, budget)
  for _, entry in ipairs(redis.call('HRANDFIELD', run.key .. ':w', budget)) do
    leave(run, entry)
    local unclaimed = get(run, 'u:' .. entry)
    if not unclaimed then
      local task = task_of(run, entry) or new_task()
      task.state, task.after = 'h', 0
      write_task(run, entry, task)
    end
    hold(run, entry, tonumber(unclaimed or '1'))
    budget = budget - 1
  end
  if redis.call('EXISTS', run.key .. ':w') == 0 then redis.call('SREM', prefix .. 'stopping', run.id) end
  end_if_over(run)
  save(run)
  return budget
end

local budget = limit
for _, id in ipairs(redis.call('SRANDMEMBER', prefix .. 'stopping', 8)) do
  local run = open(id)
  if run and run.status ~= 'running' and budget > 0 then
    budget = hold_waiting(run, budget)
  elseif not run or run.status == 'running' then
    redis.call('SREM', prefix .. 'stopping', id)
  end
end

local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, limit)) do
  local id, entry = string.match(member, '^([^|]*)|(.*)$')
  local key = prefix .. 'run:' .. id
  local times = redis.call('HGET', key .. ':w', entry)
  if not times or redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', outbox, member)
  else
    redis.call('ZADD', outbox, now + grace * 2 ^ math.min(tonumber(times), 6), member)
    redis.call('HINCRBY', key .. ':w', entry, 1)
    local groups = redis.call('HMGET', key, 'g:' .. entry, 'g:' .. range_of(entry))
    local group = groups[1] or groups[2]
    if group then redis.call('ZADD', prefix .. 'group:' .. group, 'NX', now, member) end -- whatever took it out
    local items = redis.call('HGET', key, 'q:' .. entry)
    reply[#reply + 1] = id
    reply[#reply + 1] = entry
    reply[#reply + 1] = items and tostring(redis.call('BITPOS', key .. ':b:' .. entry, 0)) or ''
    reply[#reply + 1] = items or ''
    reply[#reply + 1] = redis.call('HGET', key, 'plan') or ''
  end
end
return reply
