-- ARGV: before which moment, how many marks at most. How many are gone.
local old = call('ZRANGEBYSCORE', 'tb:erased_events', '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
for _, mark in ipairs(old) do call('ZREM', 'tb:erased_events', mark) end
return #old
