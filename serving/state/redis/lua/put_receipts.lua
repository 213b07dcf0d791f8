-- ARGV, for each receipt: receipt, row, 1 if it is not finished.
for at = 3, #ARGV, 3 do
  call('HSET', 'tb:receipts', ARGV[at], ARGV[at + 1])
  if ARGV[at + 2] == '1' then call('SADD', 'tb:unfinished', ARGV[at]) end
end
