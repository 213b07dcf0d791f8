-- ARGV: first place among the people, how many of them, before which moment, how many events at most, types.
-- How many people were looked at, how many events are gone.
local types, left = {}, tonumber(ARGV[6])
for at = 7, #ARGV do types[ARGV[at]] = true end
local people, gone = call('ZRANGE', 'tb:people', ARGV[3], tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1), 0
for _, person in ipairs(people) do gone = gone + drop_old(person, ARGV[5], left - gone, types) end
return {#people, gone}
