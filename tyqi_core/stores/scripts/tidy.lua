-- What is over: runs whose retention has passed, and what a call left to be freed. ARGV: limit.
-- Answer: how many payloads were freed, then the runs to forget.
local budget, freed = number(), 0
local reply = {0}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'ended', '-inf', now, 'LIMIT', 0, 16)) do
  if redis.call('EXISTS', prefix .. 'run:' .. id) == 1 then
    reply[#reply + 1] = id
  else
    redis.call('ZREM', prefix .. 'ended', id)
  end
end
for _, member in ipairs(redis.call('SRANDMEMBER', prefix .. 'trash', 16)) do
  local id, rest = string.match(member, '^([^|]*)|(.*)$')
  if rest == '' then
    reply[#reply + 1] = id
  elseif freed < budget then
    local done, gone = free(prefix .. 'run:' .. id, rest, budget - freed)
    freed = freed + done
    if gone then redis.call('SREM', prefix .. 'trash', member) end
  end
end
reply[1] = freed
return reply
