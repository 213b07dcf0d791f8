-- ARGV: a number, how many. For each event after it: number, row, 0 for a user's and 1 for a visitor's, id.
local found, last, limit = {}, ARGV[3], tonumber(ARGV[4])
while #found < limit do
  local entries = call('XRANGE', 'tb:log', '(' .. last .. '-0', '+', 'COUNT', limit - #found)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    last = string.match(entry[1], '^%d+')
    local person = entry[2][2]
    person = call('GET', key_of(person, 'into')) or person
    local row = call('HGET', key_of(person, 'events'), last)
    local whose = call('ZRANGE', key_of(person, 'ids'), 0, 0, 'WITHSCORES')
    if row and #whose > 0 then found[#found + 1] = {last, row, whose[2], whose[1]} end
  end
end
return found
