-- ARGV: a number, how many. For each newest change of an item after it: item id, number, row.
local some = call('ZRANGEBYSCORE', 'tb:items:order', '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local found = {}
for at = 1, #some, 2 do found[#found + 1] = {some[at], some[at + 1], call('HGET', 'tb:items', some[at])} end
return found
