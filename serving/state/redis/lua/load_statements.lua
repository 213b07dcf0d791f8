-- ARGV, for each statement: user, row. How many are new.
local people, seen, count = {}, {}, 0
for at = 3, #ARGV, 2 do
  local user, row = ARGV[at], ARGV[at + 1]
  if not people[user] then
    people[user], seen[user] = known_or_new('0', user), {}
    for _, text in ipairs(call('HVALS', key_of(people[user], 'statements'))) do seen[user][text] = true end
  end
  if not seen[user][row] then
    call('HSET', key_of(people[user], 'statements'), next_number(), row)
    seen[user][row] = true
    count = count + 1
  end
end
for _, person in pairs(people) do keep(person, 'statements') end
return count
