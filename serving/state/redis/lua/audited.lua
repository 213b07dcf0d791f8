-- Runs main(), which is the script before this one, and notes what KEYS say: the newest number of the audit log, then
-- for each entry: user, visitor, person or '', a new key for them or '', the entry with a mark, the entry without.
-- {0} when the log or the people have changed since the entries were made; main gives a negative number when it changes
-- nothing.
local last = call('XREVRANGE', 'tb:audit', '+', '-', 'COUNT', 1)
if (#last > 0 and string.match(last[1][1], '^%d+') or '0') ~= KEYS[1] then return {0} end
for at = 2, #KEYS, 6 do
  local persons = persons_of(KEYS[at], KEYS[at + 1])
  if KEYS[at + 2] == '' and #persons > 0 then return {0} end
  if KEYS[at + 2] ~= '' and persons[1] ~= KEYS[at + 2] and persons[2] ~= KEYS[at + 2] then return {0} end
end

local result = main()
if type(result) == 'number' and result < 0 then return {1, result} end

for at = 2, #KEYS, 6 do
  local now = persons_of(KEYS[at], KEYS[at + 1])[1]
  if now and KEYS[at + 3] ~= '' then
    call('HSET', key_of(now, 'audit_keys'), next_number(), packed_key(KEYS[at + 3]))
    keep(now, 'audit_keys')
  end
  local known = KEYS[at + 2] ~= '' or now
  local number = digits(tonumber(KEYS[1]) + (at - 2) / 6 + 1)
  call('XADD', 'tb:audit', number .. '-0', 'entry', known and KEYS[at + 4] or KEYS[at + 5])
end
return {1, result}
