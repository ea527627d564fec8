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

-- The run as a table, or nil; second, an error reply if what is stored is no run. `ahead` names further fields that the
-- call will ask for: one read for all. What the call changes in the run's hash is written by `save`, in one call too.
local OWN_FIELDS = 8
local MANY = 1000 -- Lua hands no more than some thousands of values to a call
local function open(id, ahead)
  local key = prefix .. 'run:' .. id
  local fields = {'status', 'live', 'ended', 'exp', 'keep', 'error', 'grouped', 'seq'}
  for i = 1, math.min(MANY, ahead and #ahead or 0) do fields[OWN_FIELDS + i] = ahead[i] end
  local got = redis.pcall('HMGET', key, unpack(fields))
  local count = redis.pcall('XLEN', key .. ':e')
  if got.err or (type(count) == 'table' and count.err) then
    return nil, redis.error_reply('STATE_CORRUPT run ' .. id .. ' holds a key of another type')
  end
  if not got[1] then return nil end
  local live, exp, keep = tonumber(got[2]), tonumber(got[4]), tonumber(got[5])
  if not (live and exp and keep) then
    return nil, redis.error_reply('STATE_CORRUPT run ' .. id .. ' has no usable counts')
  end
  local known = {}
  for i = OWN_FIELDS + 1, #fields do known[fields[i]] = got[i] end
  return {id = id, key = key, status = got[1], live = live, ended = got[3] == '1', exp = exp, keep = keep,
          error = got[6] or nil, grouped = got[7] == '1', seq = tonumber(got[8] or '0'),
          known = known, set = {}, gone = {}, lines = {}}
end

-- A field of the run's hash, or false.
local function get(run, field)
  local value = run.known[field]
  if value == nil then
    value = redis.call('HGET', run.key, field)
    run.known[field] = value
  end
  return value
end

-- A field is to hold a value; false: it is to go.
local function put(run, field, value)
  run.known[field] = value
  if value then
    run.set[field], run.gone[field] = value, nil
  else
    run.set[field], run.gone[field] = nil, true
  end
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
  run.lines[#run.lines + 1] = '[' .. stamp .. rest
end

local function told(run, kind, subject, data)
  record(run, ',"' .. kind .. '","' .. subject .. '"' .. (data and ',' .. data or '') .. ']')
end

local function in_parts(command, key, parts)
  for first = 1, #parts, MANY do
    redis.call(command, key, unpack(parts, first, math.min(#parts, first + MANY - 1)))
  end
end

-- Write what the call has changed. The events of a call are one entry, numbered as the first of them.
local function save(run)
  if #run.lines > 0 then
    redis.call('XADD', run.key .. ':e', (run.seq + 1) .. '-0', 'e', table.concat(run.lines, '\n'))
    if run.seq == 0 then expiring(run, ':e') end
    run.seq, run.lines = run.seq + #run.lines, {}
  end
  local fields = {'status', run.status, 'live', run.live, 'ended', run.ended and 1 or 0, 'seq', run.seq}
  if run.error then
    fields[#fields + 1] = 'error'
    fields[#fields + 1] = run.error
  end
  for field, value in pairs(run.set) do
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  in_parts('HSET', run.key, fields)
  local gone = {}
  for field in pairs(run.gone) do gone[#gone + 1] = field end
  in_parts('HDEL', run.key, gone)
  run.set, run.gone = {}, {}
end

-- Tasks --------------------------------------------------------------------------------------------------------------
-- state: e executing, w waiting, h held, d settled, q quarantined

local function task_of(run, instance)
  local text = get(run, 't:' .. instance)
  if not text then return nil end
  local state, token, tries, deaths, after, nonce, worker =
    string.match(text, '^(%a) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+)$')
  return {state = state, token = tonumber(token), tries = tonumber(tries), deaths = tonumber(deaths),
          after = tonumber(after), nonce = nonce, worker = worker}
end

local function write_task(run, instance, task)
  put(run, 't:' .. instance, string.format('%s %d %d %d %d %s %s', task.state, task.token,
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
  local answer = get(run, 'a:' .. instance)
  local head = token .. '\n' .. call .. '\n'
  if answer and string.sub(answer, 1, #head) == head then return string.sub(answer, #head + 1) end
end

local function keep_answer(run, instance, token, call, answer)
  put(run, 'a:' .. instance, token .. '\n' .. call .. '\n' .. answer)
end

-- Entries of the outbox ----------------------------------------------------------------------------------------------

-- The range that an entry may be an item of: A[2]/B of A[*]/B.
local function range_of(entry)
  return (string.gsub(entry, '%[%d+%]([^%[]*)$', '[*]%1'))
end

-- The index of the group that an entry belongs to: where nodes that take batches find what waits for them. An item that
-- waits by itself, since it is tried again, is of the group of its range.
local function group_of(run, entry)
  local group = run.grouped and (get(run, 'g:' .. entry) or get(run, 'g:' .. range_of(entry)))
  return group and 'group:' .. group
end

-- `from`: when it may be claimed, if not at once.
local function enter(run, entry, due, from)
  if redis.call('HSET', run.key .. ':w', entry, 0) == 1 then expiring(run, ':w') end
  local group = group_of(run, entry)
  if group then
    redis.call('ZADD', prefix .. group, from or now, run.id .. '|' .. entry)
    lasting(run, group)
  end
  redis.call('ZADD', prefix .. 'outbox', due, run.id .. '|' .. entry)
  lasting(run, 'outbox')
end

local function leave(run, entry)
  redis.call('HDEL', run.key .. ':w', entry)
  redis.call('ZREM', prefix .. 'outbox', run.id .. '|' .. entry)
  local group = group_of(run, entry)
  if group then redis.call('ZREM', prefix .. group, run.id .. '|' .. entry) end
end

-- A key of the run's own that holds something from now on. `own` itself holds a member for ever, and so expires.
local function own(run, member)
  if redis.call('SADD', run.key .. ':own', member) == 1 then expiring(run, ':' .. member) end
end

local function forget_range(run, range)
  put(run, 'q:' .. range, false)
  put(run, 'u:' .. range, false)
  redis.call('UNLINK', run.key .. ':b:' .. range)
  redis.call('SREM', run.key .. ':own', 'b:' .. range)
end

-- One item of a range has been claimed or held.
local function leave_range(run, range, index)
  local unclaimed = tonumber(get(run, 'u:' .. range) or '1') - 1
  if unclaimed == 0 then
    forget_range(run, range)
    leave(run, range)
    return
  end
  put(run, 'u:' .. range, unclaimed)
  redis.call('SETBIT', run.key .. ':b:' .. range, index, 1)
  own(run, 'b:' .. range)
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
  redis.call('PUBLISH', run.key .. ':done', run.status)
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
    if items then
      put(run, 'q:' .. path, items)
      put(run, 'u:' .. path, items)
    end
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

-- Drop payloads of a list. Returns how many, and whether there are no more.
local function drop_listed(list, budget)
  for dropped = 0, budget - 1 do
    local id = redis.call('LPOP', list)
    if not id then return dropped, true end
    drop_payload(id)
  end
  return budget, redis.call('EXISTS', list) == 0
end

-- Free what `member` of the run's own keys stands for. Returns how much was done, and whether it is all gone.
local function free(key, member, budget)
  local target, done, gone = key .. ':' .. member, 1, true
  if string.sub(member, 1, 2) == 'x:' then
    done, gone = drop_listed(target, budget)
    done = done + 1
  else
    redis.call('UNLINK', target)
  end
  if gone then redis.call('SREM', key .. ':own', member) end
  return done, gone
end

local function free_slots(run, instance)
  local slots, payloads = 'v:' .. instance, 'x:' .. instance
  redis.call('UNLINK', run.key .. ':' .. slots)
  local _, gone = drop_listed(run.key .. ':' .. payloads, AT_ONCE)
  if gone then
    redis.call('SREM', run.key .. ':own', slots, payloads)
  else
    redis.call('SREM', run.key .. ':own', slots)
    redis.call('SADD', prefix .. 'trash', run.id .. '|' .. payloads)
    lasting(run, 'trash')
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

-- The groups that tasks belong to, by path; of those alone whose nodes take batches.
local function groups_of_call()
  local groups = {}
  for i = 1, number() do
    groups[i] = {arg(), arg()}
  end
  return groups
end

local function group_tasks(run, groups)
  for _, pair in ipairs(groups) do
    put(run, 'g:' .. pair[1], pair[2])
    put(run, 'grouped', '1')
    run.grouped = true
  end
end
