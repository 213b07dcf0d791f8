-- ARGV: table, persons. The numbers of the rows of each.
local found = {}
for at = 4, #ARGV do found[#found + 1] = call('HKEYS', key_of(ARGV[at], ARGV[3])) end
return found
