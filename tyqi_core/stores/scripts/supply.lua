-- A payload's bytes in place of the note where they lie on one host. ARGV: payload, field, bytes.
-- Answers 1 if the payload is still there.
local key, field = prefix .. 'p:' .. arg(), arg()
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, field, arg())
return 1
