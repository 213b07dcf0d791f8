-- ARGV, for each change: item, number, row.
for at = 3, #ARGV, 3 do
  call('HSET', 'tb:items', ARGV[at], ARGV[at + 2])
  call('ZADD', 'tb:items:order', ARGV[at + 1], ARGV[at])
end
