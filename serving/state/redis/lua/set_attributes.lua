-- ARGV: the key of marks or '', people as `people_at` has them, then for each value: whose, moment or '', field, value.
-- How many were set; -2 when the key is another, -3 when one of the people stands otherwise.
if strange(ARGV[3]) then return -2 end
local people, first = people_at(4)
if not people then return -3 end
local count = 0
for at = first, #ARGV, 4 do
  local whose, moment, field, value = unpack(ARGV, at, at + 3)
  local who = people[tonumber(whose)]
  if who.admitted and (moment == '' or admits(who.mark, moment)) then
    call('HSET', key_of(person_in(people, whose), 'attributes'), field, value)
    count = count + 1
  end
end
keep_all(people, 'attributes')
return count
