-- ARGV: table, a number, how many. For each row after it: number, row, user, visitor, as '' or '=' and the id.
local found, last, limit = {}, ARGV[4], tonumber(ARGV[5])
while #found < limit do
  local entries = call('XRANGE', log_key(ARGV[3]), '(' .. last .. '-0', '+', 'COUNT', limit - #found)
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    last = string.match(entry[1], '^%d+')
    local person = now(entry[2][2])
    local row = call('HGET', key_of(person, ARGV[3]), last)
    if row then found[#found + 1] = {last, row, outside_ids(person)} end
  end
end
return found
