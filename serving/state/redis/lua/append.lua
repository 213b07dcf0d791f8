-- ARGV: the key of marks or '', people as `people_at` has them, then for each event: whose, event id, its mark, item,
-- type, moment, row. For each 1 if stored, 0 if it was there, -1 if an erasure refuses it, -4 if nothing of the person
-- may be stored; -2 alone when the key is another, -3 alone when one of the people stands otherwise.
if strange(ARGV[3]) then return -2 end
local people, first = people_at(4)
if not people then return -3 end
local stored, refusing = {}, guarded()
for at = first, #ARGV, 7 do
  local whose, event_id, event_mark, item, kind, moment, row = unpack(ARGV, at, at + 6)
  local known, who = 'tb:e:' .. event_id, people[tonumber(whose)]
  if refusing and (not admits(who.mark, moment) or call('ZSCORE', 'tb:erased_events', event_mark)) then
    stored[#stored + 1] = -1
  elseif not who.admitted then
    stored[#stored + 1] = -4
  elseif call('EXISTS', known) == 1 then
    stored[#stored + 1] = 0
  else
    local person, number = person_in(people, whose), next_number()
    call('SET', known, person, 'EX', WINDOW)
    call('HSET', key_of(person, 'events'), number, row)
    call('ZADD', key_of(person, 'order'), moment, in_order(number, kind))
    take(person, item, kind, moment)
    call('ZADD', 'tb:people', 'GT', moment, person)
    call('XADD', 'tb:log', number .. '-0', 'p', person)
    stored[#stored + 1] = 1
  end
end
keep_all(people, 'events', 'order', 'taken')
return stored
