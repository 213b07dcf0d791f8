-- ARGV: table, numbers. How many were there.
local count = 0
for at = 4, #ARGV do
  if drop_numbered(ARGV[3], ARGV[at]) then count = count + 1 end
end
return count
