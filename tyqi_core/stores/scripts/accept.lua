-- Create a run. ARGV: nonce, lifetime ms, retention ms, grace ms, plan, event, values, ready, groups.
-- The same nonce again is the same call again.
local key, nonce, life, keep = prefix .. 'run:' .. ARGV[2], arg(), number(), number()
local grace, plan, event = number(), arg(), arg()
if redis.call('EXISTS', key) == 1 then
  return redis.call('HGET', key, 'nonce') == nonce and 'OK' or 'EXISTS'
end
if redis.call('SISMEMBER', prefix .. 'trash', ARGV[2] .. '|') == 1 then return 'EXISTS' end -- not all of it is gone yet
local puts, refs = values_of_call()
local fault = missing(refs)
if fault then return fault end
local ready, groups = ready_of_call(), groups_of_call()
local run = {id = ARGV[2], key = key, status = 'running', live = 0, ended = false, exp = real + life, keep = keep, seq = 0,
             known = {}, set = {}, gone = {}, lines = {}}
redis.call('HSET', key, 'nonce', nonce, 'exp', run.exp, 'keep', keep, 'plan', plan)
redis.call('ZADD', prefix .. 'runs', real, run.id)
lasting(run, 'runs')
expiring(run, '')
redis.call('SADD', key .. ':own', 'self') -- no key: a reason for the set, and its expiry, to stay
expiring(run, ':own')
record(run, event)
put_values(run, puts, refs)
group_tasks(run, groups)
make_ready(run, ready, now + grace)
save(run)
return 'OK'
