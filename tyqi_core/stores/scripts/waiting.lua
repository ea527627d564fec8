-- Tasks of a group that wait to be claimed, those that have waited longest first. ARGV: group, limit.
-- Answer: run, path, first item or '', behind the last item or '', plan.
local index, limit = prefix .. 'group:' .. arg(), number()
local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, limit)) do
  local id, entry = string.match(member, '^([^|]*)|(.*)$')
  local key = prefix .. 'run:' .. id
  if redis.call('HEXISTS', key .. ':w', entry) == 0 or redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', index, member)
  else
    local items = redis.call('HGET', key, 'q:' .. entry)
    reply[#reply + 1] = id
    reply[#reply + 1] = entry
    reply[#reply + 1] = items and tostring(redis.call('BITPOS', key .. ':b:' .. entry, 0)) or ''
    reply[#reply + 1] = items or ''
    reply[#reply + 1] = redis.call('HGET', key, 'plan') or ''
  end
end
return reply
