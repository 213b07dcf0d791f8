-- ARGV: user, visitor, how many events, types to leave out. For each person: ordered names of the newest events,
-- newest first, and their rows; what was taken; attributes. Before them the newest number.
local newest, without = tonumber(ARGV[5]), {}
for at = 6, #ARGV do without[ARGV[at]] = true end

local function newest_of(person)
  local names, first, step = {}, 0, newest + 50
  while #names < newest do
    local some = call('ZREVRANGE', key_of(person, 'order'), first, first + step - 1)
    for _, name in ipairs(some) do
      if #names < newest and not without[string.sub(name, 16)] then names[#names + 1] = name end
    end
    if #some < step then break end
    first = first + step
  end
  return names
end

local found = {call('GET', 'tb:number') or '0'}
for _, person in ipairs(persons_of(ARGV[3], ARGV[4])) do
  local names, numbers = newest_of(person), {}
  for place, name in ipairs(names) do numbers[place] = digits(tonumber(string.sub(name, 1, 15))) end
  found[#found + 1] = {
    names,
    values_of(key_of(person, 'events'), numbers),
    call('HGETALL', key_of(person, 'taken')),
    call('HGETALL', key_of(person, 'attributes')),
  }
end
return found
