-- ARGV: persons. The numbers of the events of each.
local found = {}
for at = 3, #ARGV do found[#found + 1] = call('HKEYS', key_of(ARGV[at], 'events')) end
return found
