-- ARGV: first place among the people, how many of them, before which moment, how many events at most, types.
-- How many people were looked at, how many events are gone.
local types, left = {}, tonumber(ARGV[6])
for at = 7, #ARGV do types[ARGV[at]] = true end
local people, gone = call('ZRANGE', 'tb:people', ARGV[3], tonumber(ARGV[3]) + tonumber(ARGV[4]) - 1), 0
for _, person in ipairs(people) do
  local rows = {}
  for _, name in ipairs(call('ZRANGEBYSCORE', key_of(person, 'order'), '-inf', '(' .. ARGV[5])) do
    if #rows + gone < left and types[string.sub(name, 16)] then
      local number = digits(tonumber(string.sub(name, 1, 15)))
      local row = cjson.decode(call('HGET', key_of(person, 'events'), number))
      drop_event(person, number, row)
      rows[#rows + 1] = row
    end
  end
  if #rows > 0 then
    take_again(person, rows)
    local held = 0
    for _, name in ipairs(PERSONAL) do
      if name ~= 'audit_keys' then held = held + call('HLEN', key_of(person, name)) end
    end
    if held == 0 then forget(person) end
  end
  gone = gone + #rows
end
return {#people, gone}
