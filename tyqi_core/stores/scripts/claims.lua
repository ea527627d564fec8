-- Claiming, for the scripts that do it.

-- Who claims what, and the values wanted.
local function asked()
  local ask = {instance = arg(), range = arg(), index = number(), worker = arg(), lease = number(), nonce = arg()}
  ask.wants = {}
  for i = 1, number() do
    local want = {required = arg() == '1', holder = arg(), fields = {}}
    for j = 1, number() do want.fields[j] = arg() end
    ask.wants[i] = want
  end
  return ask
end

-- The innermost value that the store keeps apart on the way to the one wanted; second, how many fields led to it.
local function look(run, want)
  local found = redis.call('HMGET', run.key .. ':v:' .. want.holder, unpack(want.fields))
  local raw, used = found[1], 1
  while raw and used < #want.fields do
    local payload = string.match(raw, '^@%*%d+:(%S+)$')
    if payload then
      used = used + 1
      local index = string.match(want.fields[used], '%[(%d+)%]$')
      local size = redis.call('HSTRLEN', prefix .. 'p:' .. payload, index)
      if size == 0 then
        raw = false
      elseif size <= INLINE then
        raw = redis.call('HGET', prefix .. 'p:' .. payload, index)
      else
        raw = '@' .. payload .. '#' .. index
      end
      break
    end
    if string.sub(raw, 1, 1) ~= '*' then break end
    used = used + 1
    raw = found[used]
  end
  return raw, used
end

local function grant(run, ask, task)
  local reply, skip = {'OK', task.token, task.tries, task.deaths, 0}, false
  for _, want in ipairs(ask.wants) do
    local raw, used = look(run, want)
    if not raw and want.required then skip = true end
    reply[#reply + 1] = raw or false
    reply[#reply + 1] = used
  end
  reply[5] = skip and 1 or 0
  return reply, skip
end

local function lease(run, instance, length)
  redis.call('ZADD', prefix .. 'leases', now + length, run.id .. '|' .. instance)
  lasting(run, 'leases')
end

local REFUSALS = {d = 'DONE', q = 'QUARANTINED', h = 'CANCELLED'}

-- The entry of the outbox under which the task can be claimed, or the reason why it cannot.
local function entry_of(run, ask, task)
  if redis.call('HEXISTS', run.key .. ':w', ask.instance) == 1 then return ask.instance end
  if task or ask.range == '' then return nil, 'UNKNOWN' end
  local items = tonumber(get(run, 'q:' .. ask.range) or '0')
  if ask.index >= items or redis.call('GETBIT', run.key .. ':b:' .. ask.range, ask.index) == 1 then
    return nil, 'UNKNOWN'
  end
  if redis.call('HEXISTS', run.key .. ':w', ask.range) == 0 then return nil, 'CANCELLED' end
  return ask.range
end

local function start(run, ask, task)
  task.state, task.after, task.nonce = 'e', 0, ask.nonce
  task.worker = ask.worker == '' and '-' or ask.worker
  task.token, task.tries = task.token + 1, task.tries + 1
  write_task(run, ask.instance, task)
  if task.token > 1 then put(run, 'a:' .. ask.instance, false) end
  if ask.lease > 0 then lease(run, ask.instance, ask.lease) end
  local reply, skip = grant(run, ask, task)
  if not skip then
    local data = {}
    if task.tries > 1 then data[1] = '"try":' .. task.tries end
    if ask.worker ~= '' then data[#data + 1] = '"worker":"' .. ask.worker .. '"' end
    told(run, 'task.started', ask.instance, #data > 0 and '{' .. table.concat(data, ',') .. '}' or nil)
  end
  return reply
end

-- `fresh`: the task became ready by this very call.
local function claim(run, ask, fresh)
  local task = task_of(run, ask.instance)
  if task and task.state == 'e' then
    if task.nonce == ask.nonce then return (grant(run, ask, task)) end
    local ends = redis.call('ZSCORE', prefix .. 'leases', run.id .. '|' .. ask.instance)
    return {'HELD', ends and math.max(0, tonumber(ends) - now) or 0}
  end
  if task and REFUSALS[task.state] then return {REFUSALS[task.state]} end
  local entry, why = nil, nil
  if not fresh then
    entry, why = entry_of(run, ask, task)
    if not entry then return {why} end
  end
  if run.status == 'running' and task and task.after > now then return {'HELD', task.after - now} end
  if entry == ask.instance then
    leave(run, entry)
  elseif entry then
    leave_range(run, entry, ask.index)
  end
  task = task or new_task()
  if run.status ~= 'running' then
    hold_task(run, ask.instance, task)
    return {'CANCELLED'}
  end
  return start(run, ask, task)
end
