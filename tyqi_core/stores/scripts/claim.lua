-- Begin an attempt. ARGV: the claim.
local ask = asked()
local run, fault = open(ARGV[2], {'t:' .. ask.instance})
if fault then return fault end
if not run then
  redis.call('ZREM', prefix .. 'outbox', ARGV[2] .. '|' .. ask.instance)
  return {'NORUN'}
end
local reply = claim(run, ask)
save(run)
return reply
