-- What an attempt does to its node's history. In ARGV: how many changes, then a field, 'add' or 'max', and a number each.
-- runtime/history.py tells the fields and what fading is for, and does the same in Python.
local PERIOD = 256

local function fade_history(key)
  local flat, before, after, us = redis.call('HGETALL', key), 0, 0, 0
  local held = {}
  for i = 1, #flat, 2 do held[flat[i]] = tonumber(flat[i + 1]) or 0 end
  for name, value in pairs(held) do
    if string.match(name, '^b%d') then
      local half = math.floor(value / 2)
      before, after = before + value, after + half
      if half > 0 then redis.call('HSET', key, name, half) else redis.call('HDEL', key, name) end
    end
  end
  if before > 0 then us = math.floor((held.us or 0) / before * after) end
  redis.call('HSET', key, 'us', string.format('%.0f', us))
  for _, name in ipairs({'max', 'mem', 'gpu'}) do
    if held[name] then
      redis.call('HSET', key, name .. '1', string.format('%.0f', held[name]))
      redis.call('HDEL', key, name)
    end
  end
end

-- The changes of this call: to be read with its other arguments, before anything is written.
local function history_of_call()
  local changes = {}
  for i = 1, number() do changes[i] = {arg(), arg(), arg()} end
  return changes
end

-- Never an error, since its caller has written already: what is no history at `key` is thrown away, and begins anew.
local function remember(key, changes)
  for _, change in ipairs(changes) do
    local name, value = change[1], tonumber(change[3])
    local held = redis.pcall('HINCRBY', key, name, change[2] == 'add' and change[3] or 0)
    if type(held) == 'table' then
      redis.call('DEL', key)
      return
    end
    if change[2] == 'max' and value > held then redis.call('HSET', key, name, change[3]) end
    if name == 'n' and math.floor(held / PERIOD) > math.floor((held - value) / PERIOD) then fade_history(key) end
  end
end

-- The history that a commit adds to: {node, changes}; the node is '' mostly, for workers tell several executions at once.
local function sample_of_call()
  return {arg(), history_of_call()}
end

local REMEMBERED = 90 * 86400000 -- ms that a history outlives the node's last executions

local function remember_sample(sample)
  if sample[1] == '' then return end
  local index, key = prefix .. 'hist', prefix .. 'hist:' .. sample[1]
  remember(key, sample[2])
  redis.call('SADD', index, sample[1])
  redis.call('PEXPIRE', index, REMEMBERED)
  redis.call('PEXPIRE', key, REMEMBERED)
end
