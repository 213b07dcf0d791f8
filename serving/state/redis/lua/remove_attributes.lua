-- ARGV: user, names. How many values are gone.
local names, count = {}, 0
for at = 4, #ARGV do names[ARGV[at]] = true end
local person = person_of('0', ARGV[3])
if not person then return 0 end
for _, field in ipairs(call('HKEYS', key_of(person, 'attributes'))) do
  if names[cjson.decode(field)[1]] then count = count + call('HDEL', key_of(person, 'attributes'), field) end
end
return count
