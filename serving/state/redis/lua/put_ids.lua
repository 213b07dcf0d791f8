-- ARGV, for each id: person, anonymous, id.
for at = 3, #ARGV, 3 do
  name_person(ARGV[at], ARGV[at + 1], ARGV[at + 2])
  call('EXPIRE', key_of(ARGV[at], 'ids'), KEEP)
  call('ZADD', 'tb:people', 'NX', '-inf', ARGV[at])
end
