-- ARGV: name, value. The value that came first.
call('HSETNX', 'tb:settings', ARGV[3], ARGV[4])
return call('HGET', 'tb:settings', ARGV[3])
