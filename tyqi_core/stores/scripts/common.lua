-- What every script shares: it stands before each of them. docs/stores.md tells the keys.
-- ARGV: [1] the shard's prefix, [2] the run's id or '', [3] the time in ms that a test injects, or ''; then the call's own.
local prefix, cursor = ARGV[1], 3
local clock = redis.call('TIME')
local real = clock[1] * 1000 + math.floor(clock[2] / 1000)
local now, stamp = real, clock[1] .. string.format('%06d', clock[2]) .. '000'
if ARGV[3] ~= '' then
  now, stamp = tonumber(ARGV[3]), ARGV[3] .. '000000'
end
local INLINE = 16384 -- bytes of a list's element that a claim answers itself
local AT_ONCE = 64 -- payloads that one call frees; the rest is left to `tidy`
local TERMINAL = {completed = true, failed = true, cancelled = true}
local STALLED = '{"code":"STALLED","message":"no task is left to run, yet the run has not ended: a bug"}'

local function arg()
  cursor = cursor + 1
  return ARGV[cursor]
end

local function number()
  return tonumber(arg())
end

-- The run as a table, or nil; second, an error reply if what is stored is no run.
local function open(id)
  local key = prefix .. 'run:' .. id
  local got = redis.pcall('HMGET', key, 'status', 'live', 'ended', 'exp', 'keep', 'error')
  local count = redis.pcall('XLEN', key .. ':e')
  if got.err or (type(count) == 'table' and count.err) then
    return nil, redis.error_reply('STATE_CORRUPT run ' .. id .. ' holds a key of another type')
  end
  if not got[1] then return nil end
  local live, exp, keep = tonumber(got[2]), tonumber(got[4]), tonumber(got[5])
  if not (live and exp and keep) then
    return nil, redis.error_reply('STATE_CORRUPT run ' .. id .. ' has no usable counts')
  end
  return {id = id, key = key, status = got[1], live = live, ended = got[3] == '1', exp = exp, keep = keep,
          error = got[6] or nil, seq = count}
end

local function save(run)
  redis.call('HSET', run.key, 'status', run.status, 'live', run.live, 'ended', run.ended and 1 or 0)
  if run.error then redis.call('HSET', run.key, 'error', run.error) end
end

-- A key of the run lives as long as the run.
local function expiring(run, suffix)
  redis.call('PEXPIREAT', run.key .. suffix, run.exp)
end

-- A key that runs share lives as long as the longest of them.
local function lasting(run, name)
  local key = prefix .. name
  if redis.call('PTTL', key) < run.exp - real then redis.call('PEXPIREAT', key, run.exp) end
end

-- `rest` is what follows the time in an event's line.
local function record(run, rest)
  run.seq = run.seq + 1
  redis.call('XADD', run.key .. ':e', run.seq .. '-0', 'e', '[' .. stamp .. rest)
end

local function told(run, kind, subject, data)
  record(run, ',"' .. kind .. '","' .. subject .. '"' .. (data and ',' .. data or '') .. ']')
end

-- Tasks --------------------------------------------------------------------------------------------------------------
-- state: e executing, w waiting, h held, d settled, q quarantined

local function task_of(run, instance)
  local text = redis.call('HGET', run.key, 't:' .. instance)
  if not text then return nil end
  local state, token, tries, deaths, after, nonce, worker =
    string.match(text, '^(%a) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+)$')
  return {state = state, token = tonumber(token), tries = tonumber(tries), deaths = tonumber(deaths),
          after = tonumber(after), nonce = nonce, worker = worker}
end

local function write_task(run, instance, task)
  redis.call('HSET', run.key, 't:' .. instance, string.format('%s %d %d %d %d %s %s', task.state, task.token,
    task.tries, task.deaths, task.after, task.nonce, task.worker))
end

local function new_task()
  return {state = 'w', token = 0, tries = 0, deaths = 0, after = 0, nonce = '-', worker = '-'}
end

-- The task if `token` is its current attempt's.
local function current(run, instance, token)
  local task = task_of(run, instance)
  if task and task.state == 'e' and task.token == token then return task end
end

-- What an earlier call with this token was answered, if this is that call again.
local function kept(run, instance, token, call)
  local answer = redis.call('HGET', run.key .. ':a', instance)
  local head = token .. '\n' .. call .. '\n'
  if answer and string.sub(answer, 1, #head) == head then return string.sub(answer, #head + 1) end
end

local function keep_answer(run, instance, token, call, answer)
  if redis.call('HSET', run.key .. ':a', instance, token .. '\n' .. call .. '\n' .. answer) == 1 then
    expiring(run, ':a')
  end
end

-- Entries of the outbox ----------------------------------------------------------------------------------------------

local function enter(run, entry, due)
  if redis.call('HSET', run.key .. ':w', entry, 0) == 1 then expiring(run, ':w') end
  redis.call('ZADD', prefix .. 'outbox', due, run.id .. '|' .. entry)
  lasting(run, 'outbox')
end

local function leave(run, entry)
  redis.call('HDEL', run.key .. ':w', entry)
  redis.call('ZREM', prefix .. 'outbox', run.id .. '|' .. entry)
end

local function forget_range(run, range)
  redis.call('HDEL', run.key, 'q:' .. range, 'u:' .. range)
  redis.call('UNLINK', run.key .. ':b:' .. range)
  redis.call('SREM', run.key .. ':own', 'b:' .. range)
end

-- One item of a range has been claimed or held.
local function leave_range(run, range, index)
  if redis.call('HINCRBY', run.key, 'u:' .. range, -1) == 0 then
    forget_range(run, range)
    leave(run, range)
    return
  end
  redis.call('SETBIT', run.key .. ':b:' .. range, index, 1)
  expiring(run, ':b:' .. range)
  if redis.call('SADD', run.key .. ':own', 'b:' .. range) == 1 then expiring(run, ':own') end
end

-- The end of a run ---------------------------------------------------------------------------------------------------

local function end_if_over(run)
  if run.live > 0 or TERMINAL[run.status] then return end
  if run.ended and redis.call('EXISTS', run.key .. ':h') == 0 then
    run.status = 'completed'
  elseif run.status == 'running' then
    run.status, run.error = 'failed', STALLED
  else
    run.status = run.status == 'failing' and 'failed' or 'cancelled'
  end
  told(run, 'run.' .. run.status, '', run.error and '{"error":' .. run.error .. '}')
  redis.call('ZADD', prefix .. 'ended', now + run.keep, run.id)
  lasting(run, 'ended')
  redis.call('SREM', prefix .. 'stopping', run.id)
end

-- The sweeper holds what a stopping run has in the outbox.
local function stop(run)
  if TERMINAL[run.status] or redis.call('EXISTS', run.key .. ':w') == 0 then return end
  redis.call('SADD', prefix .. 'stopping', run.id)
  lasting(run, 'stopping')
end

local function hold(run, entry, count)
  redis.call('RPUSH', run.key .. ':h', entry)
  expiring(run, ':h')
  run.live = run.live - count
end

local function hold_task(run, instance, task, state)
  task.state, task.after = state or 'h', 0
  write_task(run, instance, task)
  redis.call('ZREM', prefix .. 'leases', run.id .. '|' .. instance)
  hold(run, instance, 1)
  end_if_over(run)
end

-- `ready` lists {path, items or nil}. Entry `mine` is claimed by this very call and never enters the outbox.
local function make_ready(run, ready, due, mine)
  for _, entry in ipairs(ready) do
    local path, items = entry[1], entry[2]
    if items then redis.call('HSET', run.key, 'q:' .. path, items, 'u:' .. path, items) end
    if run.status ~= 'running' then
      hold(run, path, 0)
      if not items then
        local task = new_task()
        task.state = 'h'
        write_task(run, path, task)
      end
    else
      run.live = run.live + (items or 1)
      if path ~= mine then enter(run, path, due) end
      told(run, 'task.ready', path, items and '{"count":' .. items .. '}')
    end
  end
end

-- Values -------------------------------------------------------------------------------------------------------------

-- The file of a payload that lies in the shared memory of a host is told to the processes there, which recycle it.
local function tell_freed(host, file)
  local key = prefix .. 'freed:' .. host
  redis.call('RPUSH', key, file)
  redis.call('LTRIM', key, -10000, -1) -- the host's sweep finds the others
  redis.call('PEXPIRE', key, 86400000)
end

local function drop_payload(id)
  local key = prefix .. 'p:' .. id
  if redis.call('EXISTS', key) == 0 or redis.call('HINCRBY', key, 'n', -1) > 0 then return end
  local place = redis.call('HMGET', key, 'h', 'f')
  if place[1] and place[2] then tell_freed(place[1], place[2]) end
  redis.call('UNLINK', key)
end

-- Free what `member` of the run's own keys stands for. Returns how much was done, and whether it is all gone.
local function free(key, member, budget)
  local target, done = key .. ':' .. member, 1
  if string.sub(member, 1, 2) == 'x:' then
    while done <= budget do
      local id = redis.call('LPOP', target)
      if not id then break end
      drop_payload(id)
      done = done + 1
    end
    if redis.call('EXISTS', target) == 1 then return done, false end
  else
    redis.call('UNLINK', target)
  end
  redis.call('SREM', key .. ':own', member)
  return done, true
end

local function free_slots(run, instance)
  free(run.key, 'v:' .. instance, 1)
  local _, gone = free(run.key, 'x:' .. instance, AT_ONCE)
  if not gone then
    redis.call('SADD', prefix .. 'trash', run.id .. '|x:' .. instance)
    lasting(run, 'trash')
  end
end

local function own(run, member)
  if redis.call('SADD', run.key .. ':own', member) == 1 then
    expiring(run, ':own')
    expiring(run, ':' .. member)
  end
end

-- The values of a call: {holder, field, raw}, and how often each payload among them is held.
local function values_of_call()
  local puts, refs = {}, {}
  for i = 1, number() do
    local put = {arg(), arg(), arg()}
    local payload = string.match(put[3], '^@%*%d+:(%S+)$') or string.match(put[3], '^@([^*]%S*)$')
    if payload then
      put[4] = payload
      refs[payload] = (refs[payload] or 0) + 1
    end
    puts[i] = put
  end
  return puts, refs
end

local function missing(refs)
  for payload in pairs(refs) do
    if redis.call('EXISTS', prefix .. 'p:' .. payload) == 0 then
      return redis.error_reply('PAYLOAD_MISSING payload ' .. payload .. ' is not in the store')
    end
  end
end

local function put_values(run, puts, refs)
  for _, put in ipairs(puts) do
    redis.call('HSET', run.key .. ':v:' .. put[1], put[2], put[3])
    own(run, 'v:' .. put[1])
    if put[4] then
      redis.call('RPUSH', run.key .. ':x:' .. put[1], put[4])
      own(run, 'x:' .. put[1])
    end
  end
  for payload, count in pairs(refs) do
    redis.call('HSET', prefix .. 'p:' .. payload, 'n', count)
    redis.call('PEXPIREAT', prefix .. 'p:' .. payload, run.exp)
  end
end

local function ready_of_call()
  local ready = {}
  for i = 1, number() do
    ready[i] = {arg(), number()}
  end
  return ready
end
