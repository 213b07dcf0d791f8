-- ARGV, for each edit: item id, row without its number. The number of each.
local numbers = {}
for at = 3, #ARGV, 2 do
  local number = call('INCR', 'tb:items:number')
  call('HSET', 'tb:items', ARGV[at], ARGV[at + 1])
  call('ZADD', 'tb:items:order', number, ARGV[at])
  numbers[#numbers + 1] = number
end
return numbers
