-- ARGV: the version of the program. The version of the store.
call('SETNX', 'tb:version', ARGV[3])
return {call('GET', 'tb:version')}
