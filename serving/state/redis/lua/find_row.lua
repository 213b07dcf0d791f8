-- ARGV: table, what tells the row from others, user, visitor. As rows_after.lua, or nothing.
local place = call('GET', name_key(ARGV[3], ARGV[4]))
if not place then return false end
local person, number = string.match(place, '^(%d+):(%d+)$')
person = now(person)
local mine = person == '0'
for _, one in ipairs(persons_of(ARGV[5], ARGV[6])) do mine = mine or one == person end
local row = mine and call('HGET', key_of(person, ARGV[3]), number)
if not row then return false end
return {number, row, outside_ids(person)}
