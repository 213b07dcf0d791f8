-- ARGV: folder, row.
call('HSET', 'tb:exports', ARGV[3], ARGV[4])
