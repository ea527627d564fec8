-- Drop a run, a bounded part of it a call. ARGV: limit, 1 if only once its retention has passed: it may have been
-- resumed since it was looked up. Answers 1 as long as something is left.
local budget, id, over = number(), ARGV[2], arg() == '1'
local key = prefix .. 'run:' .. id
if redis.call('EXISTS', key) == 1 then
  local ends = redis.call('ZSCORE', prefix .. 'ended', id)
  if over and (not ends or tonumber(ends) > now) then return 0 end
  redis.call('SADD', prefix .. 'trash', id .. '|')
  redis.call('PEXPIREAT', prefix .. 'trash', math.max(real + 86400000, redis.call('PTTL', prefix .. 'trash') + real))
  redis.call('UNLINK', key, key .. ':e', key .. ':h', key .. ':n')
  redis.call('ZREM', prefix .. 'ended', id)
  redis.call('ZREM', prefix .. 'runs', id)
  redis.call('SREM', prefix .. 'stopping', id)
end
for _, entry in ipairs(redis.call('HRANDFIELD', key .. ':w', budget)) do
  redis.call('ZREM', prefix .. 'outbox', id .. '|' .. entry)
  redis.call('HDEL', key .. ':w', entry)
end
for _, member in ipairs(redis.call('SRANDMEMBER', key .. ':own', budget)) do
  local done, gone = free(key, member, budget)
  if gone then redis.call('SREM', prefix .. 'trash', id .. '|' .. member) end
  budget = budget - done
  if budget <= 0 then break end
end
if redis.call('EXISTS', key .. ':w', key .. ':own') > 0 then return 1 end
redis.call('SREM', prefix .. 'trash', id .. '|')
return 0
