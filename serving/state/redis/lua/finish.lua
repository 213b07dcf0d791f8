-- ARGV: receipt, its row without ids.
call('HSET', 'tb:receipts', ARGV[3], ARGV[4])
call('SREM', 'tb:unfinished', ARGV[3])
