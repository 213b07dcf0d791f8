-- ARGV: user, visitor, whether each was known, receipt, moment, ids as JSON, how many persons, each as number, count of
-- ids, count of events; how many marks of ids, these, the marks of events. How many rows of each personal table and
-- of ids are gone; -1 when the persons have changed since the marks were made.
local user, visitor, receipt, moment = ARGV[3], ARGV[4], ARGV[7], ARGV[8]
local persons, count = persons_of(user, visitor), tonumber(ARGV[10])
if (user ~= '' and person_of('0', string.sub(user, 2)) and '1' or '0') ~= ARGV[5] then return -1 end
if (visitor ~= '' and person_of('1', string.sub(visitor, 2)) and '1' or '0') ~= ARGV[6] then return -1 end
if #persons ~= count then return -1 end
for place, person in ipairs(persons) do
  local at = 8 + 3 * place
  local ids, events = call('ZCARD', key_of(person, 'ids')), call('HLEN', key_of(person, 'events'))
  if person ~= ARGV[at] or ids ~= tonumber(ARGV[at + 1]) or events ~= tonumber(ARGV[at + 2]) then return -1 end
end

local at = 11 + 3 * count
local marks = tonumber(ARGV[at])
for place = at + 1, at + marks do mark_erased(ARGV[place], moment, receipt) end
for place = at + marks + 1, #ARGV do call('ZADD', 'tb:erased_events', moment, ARGV[place]) end

local gone, names = {}, {}
for _, name in ipairs(PERSONAL) do
  gone[#gone + 1] = 0
  for _, person in ipairs(persons) do gone[#gone] = gone[#gone] + call('HLEN', key_of(person, name)) end
  names[#names + 1] = '"' .. name .. '":' .. gone[#gone]
end
gone[#gone + 1] = 0
for _, person in ipairs(persons) do
  gone[#gone] = gone[#gone] + call('ZCARD', key_of(person, 'ids'))
  local events = call('HGETALL', key_of(person, 'events'))
  for place = 1, #events, 2 do drop_event(person, events[place], cjson.decode(events[place + 1])) end
  forget(person)
end
names[#names + 1] = '"ids":' .. gone[#gone]
local removed = '{' .. table.concat(names, ',') .. '}'
call('HSET', 'tb:receipts', receipt, '[' .. moment .. ',' .. removed .. ',' .. ARGV[9] .. ',null]')
call('SADD', 'tb:unfinished', receipt)
return gone
