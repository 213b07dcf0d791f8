-- ARGV: user, visitor, event id, its mark, moment. 1 when it is gone, 0 when it was none of theirs.
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  local events = call('HGETALL', key_of(person, 'events'))
  for at = 1, #events, 2 do
    local row = cjson.decode(events[at + 1])
    if row[1] == ARGV[5] then
      drop_event(person, events[at], row)
      take_again(person, {row})
      call('ZADD', 'tb:erased_events', ARGV[7], ARGV[6])
      return 1
    end
  end
end
return 0
