-- ARGV, for each key: key id, place, row.
for at = 3, #ARGV, 3 do
  call('HSET', 'tb:keys', ARGV[at], ARGV[at + 2])
  call('ZADD', 'tb:keys:order', ARGV[at + 1], ARGV[at])
  if tonumber(call('GET', 'tb:keys:version') or 0) < tonumber(ARGV[at + 1]) then
    call('SET', 'tb:keys:version', ARGV[at + 1])
  end
end
