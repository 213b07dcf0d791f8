-- ARGV: table, persons and numbers. The row of each, or ''.
local found = {}
for at = 4, #ARGV, 2 do found[#found + 1] = call('HGET', key_of(ARGV[at], ARGV[3]), ARGV[at + 1]) or '' end
return found
