-- ARGV, for each person: anonymous, id, mark. For each: what an answer about them holds for, up to which moment nothing
-- of theirs is taken or '', their statements.
local found = {}
for at = 3, #ARGV, 3 do
  local person = person_of(ARGV[at], ARGV[at + 1])
  local _, _, limit = erased(ARGV[at + 2])
  local said = person and call('HGETALL', key_of(person, 'statements')) or {}
  found[#found + 1] = {standing_of(ARGV[at], ARGV[at + 1]), limit or '', said}
end
return found
