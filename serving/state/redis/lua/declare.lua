-- ARGV: the key of marks or '', anonymous, id, their mark, then for each statement: moment, row. How many were taken;
-- -2 when the key is another.
if strange(ARGV[3]) then return -2 end
local person, count = nil, 0
for at = 7, #ARGV, 2 do
  if admits(ARGV[6], ARGV[at]) then
    person = person or known_or_new(ARGV[4], ARGV[5])
    call('HSET', key_of(person, 'statements'), next_number(), ARGV[at + 1])
    count = count + 1
  end
end
if person then keep(person, 'statements') end
return count
