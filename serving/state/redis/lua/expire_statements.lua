-- ARGV: first place among the people, how many of them, before which moment, how many statements at most.
-- How many people were looked at, how many statements are gone: those that a later one before the moment replaced.
local before, left, gone = tonumber(ARGV[5]), tonumber(ARGV[6]), 0
local people = call('ZRANGE', 'tb:people', ARGV[3], tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1)
for _, person in ipairs(people) do
  local said, newest, rows = call('HGETALL', key_of(person, 'statements')), {}, {}
  for at = 1, #said, 2 do
    local row = cjson.decode(said[at + 1])
    local one = {number = tonumber(said[at]), name = row[1] .. '\n' .. row[2], moment = row[4]}
    if one.moment < before then
      rows[#rows + 1] = one
      local other = newest[one.name]
      local later = not other or one.moment > other.moment or (one.moment == other.moment and one.number > other.number)
      if later then newest[one.name] = one end
    end
  end
  for _, one in ipairs(rows) do
    if newest[one.name] ~= one and gone < left then
      gone = gone + call('HDEL', key_of(person, 'statements'), digits(one.number))
    end
  end
end
return {#people, gone}
