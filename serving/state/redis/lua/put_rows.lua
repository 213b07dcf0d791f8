-- ARGV: table, then for each row: person, field, value.
for at = 4, #ARGV, 3 do
  call('HSET', key_of(ARGV[at], ARGV[3]), ARGV[at + 1], ARGV[at + 2])
  call('EXPIRE', key_of(ARGV[at], ARGV[3]), KEEP)
end
