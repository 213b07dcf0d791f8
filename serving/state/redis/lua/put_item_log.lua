-- ARGV: what names this log from now on.
call('SET', 'tb:items:identity', ARGV[3])
