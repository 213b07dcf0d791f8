-- ARGV: persons. Makes again what follows from their ids and events: the order of these, what was taken, who is found by
-- which id, and their newest moment. How many rows were taken.
local count = 0
for at = 3, #ARGV do
  local person = ARGV[at]
  local ids = call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')
  for place = 1, #ids, 2 do name_person(person, ids[place + 1], ids[place]) end
  call('UNLINK', key_of(person, 'order'), key_of(person, 'taken'))
  local events = call('HGETALL', key_of(person, 'events'))
  for place = 1, #events, 2 do
    local row = cjson.decode(events[place + 1])
    local moment = digits(row[4])
    call('ZADD', key_of(person, 'order'), moment, in_order(tonumber(events[place]), row[3]))
    take(person, row[2], row[3], moment)
  end
  if #ids > 0 then renew_newest(person) else forget(person) end
  keep(person, 'order', 'taken')
  count = count + call('HLEN', key_of(person, 'taken'))
end
return count
