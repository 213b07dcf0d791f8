-- ARGV: key id, from which moment it is refused, unless it ends earlier. 0 when there is no such key.
local text = call('HGET', 'tb:keys', ARGV[3])
if not text then return 0 end
local before, made, ends, after = string.match(text, '^(.*),(%d+),([^,]+)(,[^,]+,[^,]+)$')
if ends == 'null' or tonumber(ends) > tonumber(ARGV[4]) then ends = ARGV[4] end
call('HSET', 'tb:keys', ARGV[3], before .. ',' .. made .. ',' .. ends .. after)
call('INCR', 'tb:keys:version')
return 1
