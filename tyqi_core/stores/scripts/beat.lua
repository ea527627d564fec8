-- Extend a lease. ARGV: instance, token, lease ms.
local run = open(ARGV[2]) -- nothing of a damaged one can be settled: fenced
local instance, token, length = arg(), number(), number()
if not run or not current(run, instance, token) then return 'FENCED' end
redis.call('ZADD', prefix .. 'leases', now + length, run.id .. '|' .. instance)
lasting(run, 'leases')
return redis.call('HEXISTS', run.key, 'cancelled') == 1 and 'CANCEL' or 'OK' -- what executes in a failing run finishes
