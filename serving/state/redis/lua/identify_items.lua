-- ARGV: a name for the log of item changes, if it has none. Its name.
call('SETNX', 'tb:items:identity', ARGV[3])
return call('GET', 'tb:items:identity')
