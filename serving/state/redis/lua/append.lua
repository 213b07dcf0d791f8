-- ARGV, for each event: anonymous, id, event id, what is taken, type, moment, row. For each 1 if stored, else 0.
local stored, seen = {}, {}
for at = 3, #ARGV, 7 do
  local anonymous, id, event_id, taken, kind, moment, row = unpack(ARGV, at, at + 6)
  local mark = 'tb:e:' .. event_id
  if call('EXISTS', mark) == 1 then
    stored[#stored + 1] = 0
  else
    local who = anonymous .. id
    local person = seen[who] or known_or_new(anonymous, id)
    seen[who] = person
    local number = next_number()
    call('SET', mark, person, 'EX', WINDOW)
    call('HSET', key_of(person, 'events'), number, row)
    call('ZADD', key_of(person, 'order'), moment, in_order(number, kind))
    take(person, taken, moment)
    call('ZADD', 'tb:people', 'GT', moment, person)
    call('XADD', 'tb:log', number .. '-0', 'p', person)
    stored[#stored + 1] = 1
  end
end
for _, person in pairs(seen) do keep(person, 'events', 'order', 'taken') end
return stored
