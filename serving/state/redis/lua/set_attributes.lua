-- ARGV: the key of marks or '', then for each value: user, their mark, moment or '', field, value. How many were set;
-- -2 when the key is another.
if strange(ARGV[3]) then return -2 end
local seen, count = {}, 0
for at = 4, #ARGV, 5 do
  local user, mark, moment, field, value = unpack(ARGV, at, at + 4)
  if moment == '' or admits(mark, moment) then
    seen[user] = seen[user] or known_or_new('0', user)
    call('HSET', key_of(seen[user], 'attributes'), field, value)
    count = count + 1
  end
end
for _, person in pairs(seen) do keep(person, 'attributes') end
return count
