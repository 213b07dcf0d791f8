-- ARGV, for each counter: key, number. A counter only grows.
for at = 3, #ARGV, 2 do
  if tonumber(ARGV[at + 1]) > tonumber(call('GET', ARGV[at]) or 0) then call('SET', ARGV[at], ARGV[at + 1]) end
end
