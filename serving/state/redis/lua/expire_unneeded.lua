-- ARGV: for each person: who, before which moment. How many of their events are gone.
local gone = 0
for at = 3, #ARGV, 2 do gone = gone + drop_old(ARGV[at], ARGV[at + 1], math.huge, nil) end
return gone
