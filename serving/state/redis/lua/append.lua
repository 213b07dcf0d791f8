-- ARGV: the key of marks or '', then for each event: anonymous, id, their mark, event id, its mark, item, type, moment,
-- row. For each 1 if stored, 0 if it was there, -1 if an erasure refuses it; -2 alone when the key is another.
if strange(ARGV[3]) then return -2 end
local stored, seen, refusing = {}, {}, guarded()
for at = 4, #ARGV, 9 do
  local anonymous, id, mark, event_id, event_mark, item, kind, moment, row = unpack(ARGV, at, at + 8)
  local known = 'tb:e:' .. event_id
  if refusing and (not admits(mark, moment) or call('ZSCORE', 'tb:erased_events', event_mark)) then
    stored[#stored + 1] = -1
  elseif call('EXISTS', known) == 1 then
    stored[#stored + 1] = 0
  else
    local who = anonymous .. id
    local person = seen[who] or known_or_new(anonymous, id)
    seen[who] = person
    local number = next_number()
    call('SET', known, person, 'EX', WINDOW)
    call('HSET', key_of(person, 'events'), number, row)
    call('ZADD', key_of(person, 'order'), moment, in_order(number, kind))
    take(person, item, kind, moment)
    call('ZADD', 'tb:people', 'GT', moment, person)
    call('XADD', 'tb:log', number .. '-0', 'p', person)
    stored[#stored + 1] = 1
  end
end
for _, person in pairs(seen) do keep(person, 'events', 'order', 'taken') end
return stored
