-- ARGV: user, visitor. Whether each of them is known, then for each person: number, ids with scores, events.
local found = {
  ARGV[3] ~= '' and person_of('0', string.sub(ARGV[3], 2)) and 1 or 0,
  ARGV[4] ~= '' and person_of('1', string.sub(ARGV[4], 2)) and 1 or 0,
}
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  found[#found + 1] = {
    person,
    call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES'),
    call('HGETALL', key_of(person, 'events')),
  }
end
return found
