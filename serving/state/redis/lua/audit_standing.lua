-- ARGV, for each person: user, visitor. The newest number of the audit log, then for each pair its persons, each with
-- a key of theirs or ''.
local last = call('XREVRANGE', 'tb:audit', '+', '-', 'COUNT', 1)
local found = {#last > 0 and string.match(last[1][1], '^%d+') or '0'}
for at = 3, #ARGV, 2 do
  local pair = {}
  for _, person in ipairs(persons_of(ARGV[at], ARGV[at + 1])) do
    local key = call('HVALS', key_of(person, 'audit_keys'))[1]
    pair[#pair + 1] = {person, key and string.match(key, '%x+') or ''}
  end
  found[#found + 1] = pair
end
return found
