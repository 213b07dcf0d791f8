-- ARGV: the last id seen or '', how many. The last id looked at, or nothing at the end, then the ids of users who are
-- there still: an id whose person has expired goes from the list.
local first = ARGV[3] == '' and '-' or '(' .. string.sub(ARGV[3], 2)
local some, found = call('ZRANGEBYLEX', 'tb:users', first, '+', 'LIMIT', 0, ARGV[4]), {}
if #some == 0 then return found end
found[1] = some[#some]
for _, id in ipairs(some) do
  if person_of('0', id) then found[#found + 1] = id else call('ZREM', 'tb:users', id) end
end
return found
