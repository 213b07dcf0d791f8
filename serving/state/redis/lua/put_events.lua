-- ARGV, for each event, in the order of numbers: person, number, event id, row. The log holds those that are not
-- exported, each once; what follows from them is for rebuild.lua.
local last = call('XREVRANGE', 'tb:log', '+', '-', 'COUNT', 1)
local logged = math.max(#last > 0 and tonumber(string.match(last[1][1], '^%d+')) or 0,
  tonumber(call('GET', 'tb:exported') or 0))
for at = 3, #ARGV, 4 do
  local person, number, event_id, row = unpack(ARGV, at, at + 3)
  call('SET', 'tb:e:' .. event_id, person, 'EX', WINDOW)
  call('HSET', key_of(person, 'events'), number, row)
  call('EXPIRE', key_of(person, 'events'), KEEP)
  if tonumber(number) > logged then call('XADD', 'tb:log', number .. '-0', 'p', person) end
end
