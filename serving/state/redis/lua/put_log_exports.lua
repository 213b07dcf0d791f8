-- ARGV, for each folder: folder, row.
for at = 3, #ARGV, 2 do call('HSET', 'tb:exports', ARGV[at], ARGV[at + 1]) end
