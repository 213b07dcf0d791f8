-- ARGV: user, visitor, moment, then event ids, each with its mark. How many of the events are gone.
local marks, gone = {}, 0
for at = 6, #ARGV, 2 do marks[ARGV[at]] = ARGV[at + 1] end
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  local events, rows = call('HGETALL', key_of(person, 'events')), {}
  for at = 1, #events, 2 do
    local row = cjson.decode(events[at + 1])
    if marks[row[1]] then
      drop_event(person, events[at], row)
      rows[#rows + 1] = row
      call('ZADD', 'tb:erased_events', ARGV[5], marks[row[1]])
    end
  end
  if #rows > 0 then take_again(person, rows) end
  gone = gone + #rows
end
return gone
