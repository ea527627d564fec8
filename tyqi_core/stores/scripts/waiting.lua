-- Tasks of a group that wait to be claimed, those that have waited longest first. ARGV: group, limit, least, most, ms: if
-- at least so many were found, nobody else is told of the first `most` for that time. Ranges of items are never hidden.
-- Answer: run, path, first item or '', behind the last item or '', plan.
local index, limit = prefix .. 'group:' .. arg(), number()
local least, most, hidden = number(), number(), number()
local reply, single, count = {}, {}, 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, limit)) do
  local id, entry = string.match(member, '^([^|]*)|(.*)$')
  local key = prefix .. 'run:' .. id
  if redis.call('HEXISTS', key .. ':w', entry) == 0 or redis.call('EXISTS', key) == 0 then
    redis.call('ZREM', index, member)
  else
    local items = redis.call('HGET', key, 'q:' .. entry)
    count = count + (items or 1)
    if not items then single[#single + 1] = member end
    reply[#reply + 1] = id
    reply[#reply + 1] = entry
    reply[#reply + 1] = items and tostring(redis.call('BITPOS', key .. ':b:' .. entry, 0)) or ''
    reply[#reply + 1] = items or ''
    reply[#reply + 1] = redis.call('HGET', key, 'plan') or ''
  end
end
for i = 1, count >= least and math.min(most, #single) or 0 do
  redis.call('ZADD', index, now + hidden, single[i])
end
return reply
