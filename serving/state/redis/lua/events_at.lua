-- ARGV: persons and numbers of events. The row of each.
local found = {}
for at = 3, #ARGV, 2 do found[#found + 1] = call('HGET', key_of(ARGV[at], 'events'), ARGV[at + 1]) or '' end
return found
