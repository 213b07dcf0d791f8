-- ARGV: how many tables, these, persons. For each person: ids with scores, then the rows of each table.
local found, tables = {}, tonumber(ARGV[3])
for at = 4 + tables, #ARGV do
  local each = {call('ZRANGE', key_of(ARGV[at], 'ids'), 0, -1, 'WITHSCORES')}
  for place = 4, 3 + tables do each[#each + 1] = call('HGETALL', key_of(ARGV[at], ARGV[place])) end
  found[#found + 1] = each
end
return found
