-- ARGV: user, visitor. How many ids, then how many rows of each personal table.
local counts = {0}
for place in ipairs(PERSONAL) do counts[place + 1] = 0 end
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  local events, marks = call('HGETALL', key_of(person, 'events')), {}
  for at = 1, #events, 2 do marks[#marks + 1] = 'tb:e:' .. cjson.decode(events[at + 1])[1] end
  for at = 1, #events, 2 do call('XDEL', 'tb:log', events[at] .. '-0') end
  for _, mark in ipairs(marks) do call('UNLINK', mark) end
  local ids = call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')
  for at = 1, #ids, 2 do
    counts[1] = counts[1] + 1
    call('UNLINK', id_key(ids[at + 1], ids[at]))
    if ids[at + 1] == '0' then call('ZREM', 'tb:users', ids[at]) end
  end
  for place, name in ipairs(PERSONAL) do
    counts[place + 1] = counts[place + 1] + call('HLEN', key_of(person, name))
    call('UNLINK', key_of(person, name))
  end
  for _, before in ipairs(call('SMEMBERS', key_of(person, 'was'))) do call('UNLINK', key_of(before, 'into')) end
  call('UNLINK', key_of(person, 'ids'), key_of(person, 'order'), key_of(person, 'was'))
  call('ZREM', 'tb:people', person)
end
return counts
