-- ARGV: the key of marks or '', table, people as `people_at` has them, then for each row: whose or 0, who else must not
-- have been erased or 0, what tells it from others, the mark of its event or '', moment, row. How many are new; -2 when
-- the key is another, -3 when one of the people stands otherwise.
if strange(ARGV[3]) then return -2 end
local table_name, count = ARGV[4], 0
local people, first = people_at(5)
if not people then return -3 end
local function allowed(place, moment) return place == '0' or admits(people[tonumber(place)].mark, moment) end
for at = first, #ARGV, 6 do
  local whose, other, name, event_mark, moment, row = unpack(ARGV, at, at + 5)
  local again = event_mark ~= '' and call('ZSCORE', 'tb:erased_events', event_mark)
  local known = name_key(table_name, name)
  if not again and allowed(whose, moment) and allowed(other, moment) and call('EXISTS', known) == 0 then
    local person, number = whose == '0' and '0' or person_in(people, whose), next_number()
    call('HSET', key_of(person, table_name), number, row)
    if whose == '0' then call('EXPIRE', key_of('0', table_name), KEEP) end
    call('SET', known, person .. ':' .. number, 'EX', KEEP)
    call('XADD', log_key(table_name), number .. '-0', 'p', person)
    count = count + 1
  end
end
keep_all(people, table_name)
return count
