-- ARGV: table, then for each row, in the order of numbers: person or 0, number, what tells it from others, row.
local last = call('XREVRANGE', log_key(ARGV[3]), '+', '-', 'COUNT', 1)
local logged = #last > 0 and tonumber(string.match(last[1][1], '^%d+')) or 0
for at = 4, #ARGV, 4 do
  local person, number, name, row = unpack(ARGV, at, at + 3)
  call('HSET', key_of(person, ARGV[3]), number, row)
  call('EXPIRE', key_of(person, ARGV[3]), KEEP)
  call('SET', name_key(ARGV[3], name), person .. ':' .. number, 'EX', KEEP)
  if tonumber(number) > logged then call('XADD', log_key(ARGV[3]), number .. '-0', 'p', person) end
end
