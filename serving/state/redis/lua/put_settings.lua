-- ARGV, for each setting: name, value.
for at = 3, #ARGV, 2 do call('HSET', 'tb:settings', ARGV[at], ARGV[at + 1]) end
