-- ARGV: key id, row. -1 when there is a key of this id.
if call('HEXISTS', 'tb:keys', ARGV[3]) == 1 then return -1 end
call('HSET', 'tb:keys', ARGV[3], ARGV[4])
call('ZADD', 'tb:keys:order', call('INCR', 'tb:keys:version'), ARGV[3])
return 1
