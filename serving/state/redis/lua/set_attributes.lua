-- ARGV, for each value: user, attribute and moment, value.
local seen = {}
for at = 3, #ARGV, 3 do
  local person = seen[ARGV[at]] or known_or_new('0', ARGV[at])
  seen[ARGV[at]] = person
  call('HSET', key_of(person, 'attributes'), ARGV[at + 1], ARGV[at + 2])
end
for _, person in pairs(seen) do keep(person, 'attributes') end
