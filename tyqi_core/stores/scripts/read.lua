-- One value. ARGV: holder, fields.
if redis.call('EXISTS', prefix .. 'run:' .. ARGV[2]) == 0 then return 'NORUN' end
local want = {holder = arg(), fields = {}}
for i = 1, number() do want.fields[i] = arg() end
local raw, used = look({key = prefix .. 'run:' .. ARGV[2]}, want)
return {raw or false, used}
