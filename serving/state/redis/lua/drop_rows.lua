-- ARGV: table, numbers. How many were there.
local count = 0
for at = 4, #ARGV do
  local entry = call('XRANGE', log_key(ARGV[3]), ARGV[at] .. '-0', ARGV[at] .. '-0')[1]
  local person = entry and now(entry[2][2])
  local row = person and call('HGET', key_of(person, ARGV[3]), ARGV[at])
  if row then
    drop_row(person, ARGV[3], ARGV[at], cjson.decode(row))
    count = count + 1
  end
end
return count
