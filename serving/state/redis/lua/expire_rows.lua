-- ARGV: table, numbers. How many were there; of whom nothing is left is forgotten.
local count = 0
for at = 4, #ARGV do
  local person = drop_numbered(ARGV[3], ARGV[at])
  if person then count = count + 1 end
  if person and person ~= '0' then forget_nobody(person) end
end
return count
