-- ARGV, for each mark: mark, moment.
for at = 3, #ARGV, 2 do call('ZADD', 'tb:erased_events', ARGV[at + 1], ARGV[at]) end
