-- ARGV: user, visitor, names of tables. For each person: the ids with their scores, then the rows of each table.
local found = {}
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  local each = {call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')}
  for at = 5, #ARGV do each[#each + 1] = call('HGETALL', key_of(person, ARGV[at])) end
  found[#found + 1] = each
end
return found
