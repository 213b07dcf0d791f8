-- What all scripts share. All arguments come packed as one; ARGV[1] and ARGV[2] of them say in seconds how long people
-- and event ids are kept, a script's own begin at ARGV[3]. An id that may be absent comes as '' or as '=' and the id.
local ARGV = cmsgpack.unpack(ARGV[1])
local KEEP, WINDOW, DAY = tonumber(ARGV[1]), tonumber(ARGV[2]), 86400

local function call(...) return redis.call(...) end

local function digits(number) return string.format('%d', number) end

local function key_of(person, table_name) return 'tb:p:' .. person .. ':' .. table_name end

local function id_key(anonymous, id) return 'tb:id:' .. (anonymous == '1' and 'a:' or 'u:') .. id end

local function person_of(anonymous, id) return call('GET', id_key(anonymous, id)) end

-- A user has an id of score 0 among theirs; a mere visitor has none.
local function is_user(person) return call('ZCOUNT', key_of(person, 'ids'), 0, 0) > 0 end

local function persons_of(user, visitor)
  local found = {}
  local person = user ~= '' and person_of('0', string.sub(user, 2))
  local other = visitor ~= '' and person_of('1', string.sub(visitor, 2))
  if person then found[1] = person end
  if other and other ~= person and not (user ~= '' and is_user(other)) then found[#found + 1] = other end
  return found
end

-- Every key of a person lasts KEEP seconds from the last write on, a day less at most: it is renewed once a day.
local function keep(person, ...)
  if call('TTL', key_of(person, 'ids')) < KEEP - DAY then
    for _, name in ipairs(PERSONAL) do call('EXPIRE', key_of(person, name), KEEP) end
    for _, name in ipairs({'ids', 'order', 'was'}) do call('EXPIRE', key_of(person, name), KEEP) end
    local ids = call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')
    for place = 1, #ids, 2 do call('EXPIRE', id_key(ids[place + 1], ids[place]), KEEP) end
  end
  for _, name in ipairs({...}) do
    if call('TTL', key_of(person, name)) < KEEP - DAY then call('EXPIRE', key_of(person, name), KEEP) end
  end
end

local function name_person(person, anonymous, id)
  call('SET', id_key(anonymous, id), person, 'EX', KEEP)
  call('ZADD', key_of(person, 'ids'), anonymous, id)
  if anonymous == '0' then call('ZADD', 'tb:users', 0, id) end
end

-- The person of an id, made when it is new.
local function known_or_new(anonymous, id)
  local person = person_of(anonymous, id)
  if not person then
    person = digits(call('INCR', 'tb:persons'))
    name_person(person, anonymous, id)
    call('EXPIRE', key_of(person, 'ids'), KEEP)
    call('ZADD', 'tb:people', '-inf', person)
  end
  return person
end

local function next_number() return digits(call('INCR', 'tb:number')) end

-- Equal moments keep the order of numbers, and a type can be told without reading the event.
local function in_order(number, kind) return string.format('%015d', number) .. kind end

-- What an answer about a person's statements holds for: nobody when there is no such person.
local function standing_of(anonymous, id)
  local person = person_of(anonymous, id)
  if not person then return 'nobody' end
  local sum, numbers = 0, call('HKEYS', key_of(person, 'statements'))
  for _, number in ipairs(numbers) do sum = sum + tonumber(number) end
  return person .. ':' .. #numbers .. ':' .. digits(sum)
end

-- Who stands at ARGV[at], after their number: for each anonymous, id, mark, standing or '*', 1 if anything of them may be
-- stored. And where what follows begins; nothing when one stands otherwise by now.
local function people_at(at)
  local people, last = {}, at + 5 * tonumber(ARGV[at])
  for place = at + 1, last, 5 do
    local anonymous, id, mark, standing, admitted = unpack(ARGV, place, place + 4)
    if standing ~= '*' and standing ~= standing_of(anonymous, id) then return nil end
    people[#people + 1] = {anonymous = anonymous, id = id, mark = mark, admitted = admitted == '1'}
  end
  return people, last + 1
end

local function person_in(people, place)
  local one = people[tonumber(place)]
  one.person = one.person or known_or_new(one.anonymous, one.id)
  return one.person
end

local function keep_all(people, ...)
  for _, one in ipairs(people) do if one.person then keep(one.person, ...) end end
end

local function take(person, item, kind, moment)
  local key, field = key_of(person, 'taken'), kind .. '\n' .. item
  local before = call('HGET', key, field)
  if not before or tonumber(before) < tonumber(moment) then call('HSET', key, field, moment) end
end

-- Up to which moment nothing of an id with this mark is taken, and the receipt of that erasure; nothing for most.
local function erased(mark)
  local found = call('HGET', 'tb:erased', mark)
  if not found then return nil end
  local moment, receipt = string.match(found, '^(.-):(.*)$')
  return tonumber(moment), receipt, moment
end

local function admits(mark, moment)
  local limit = erased(mark)
  return not limit or tonumber(moment) > limit
end

-- Whoever writes while there are marks must have made theirs with the store's own key.
local function guarded() return call('EXISTS', 'tb:erased', 'tb:erased_events') > 0 end
local function strange(key) return guarded() and call('HGET', 'tb:settings', 'erasure_key') ~= key end

local function mark_erased(mark, moment, receipt)
  local limit = erased(mark)
  if not limit or tonumber(moment) > limit then call('HSET', 'tb:erased', mark, moment .. ':' .. receipt) end
  call('ZADD', 'tb:erasures', 0, mark .. ':' .. moment .. ':' .. receipt)
end

-- Removes one event; what was taken is left to the caller.
local function drop_event(person, number, row)
  call('HDEL', key_of(person, 'events'), number)
  call('ZREM', key_of(person, 'order'), in_order(tonumber(number), row[3]))
  call('UNLINK', 'tb:e:' .. row[1])
  call('XDEL', 'tb:log', number .. '-0')
end

-- The newest moment of a person, as the events that are left say.
local function renew_newest(person)
  local newest = call('ZREVRANGE', key_of(person, 'order'), 0, 0, 'WITHSCORES')[2]
  call('ZADD', 'tb:people', newest or '-inf', person)
end

-- What was taken follows from the events that are left; `gone` are rows of those that are not.
local function take_again(person, gone)
  for _, row in ipairs(gone) do call('HDEL', key_of(person, 'taken'), row[3] .. '\n' .. row[2]) end
  local left, again = call('HVALS', key_of(person, 'events')), {}
  for _, row in ipairs(gone) do again[row[3] .. '\n' .. row[2]] = true end
  for _, text in ipairs(left) do
    local row = cjson.decode(text)
    if again[row[3] .. '\n' .. row[2]] then take(person, row[2], row[3], digits(row[4])) end
  end
  renew_newest(person)
end

local function log_key(table_name) return 'tb:log:' .. table_name end
local function name_key(table_name, name) return 'tb:k:' .. table_name .. ':' .. name end

-- Who the person of a log has become.
local function now(person) return call('GET', key_of(person, 'into')) or person end

local function outside_ids(person)
  local user = call('ZRANGEBYSCORE', key_of(person, 'ids'), 0, 0, 'LIMIT', 0, 1)[1]
  local visitor = call('ZRANGEBYSCORE', key_of(person, 'ids'), 1, 1, 'LIMIT', 0, 1)[1]
  return user and '=' .. user or '', visitor and '=' .. visitor or ''
end

local function drop_row(person, table_name, number, row)
  call('HDEL', key_of(person, table_name), number)
  call('UNLINK', name_key(table_name, row[1]))
  call('XDEL', log_key(table_name), number .. '-0')
end

local function forget(person)
  for _, name in ipairs(LOGGED) do
    local rows = call('HGETALL', key_of(person, name))
    for at = 1, #rows, 2 do drop_row(person, name, rows[at], cjson.decode(rows[at + 1])) end
  end
  local ids = call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')
  for at = 1, #ids, 2 do
    call('UNLINK', id_key(ids[at + 1], ids[at]))
    if ids[at + 1] == '0' then call('ZREM', 'tb:users', ids[at]) end
  end
  for _, before in ipairs(call('SMEMBERS', key_of(person, 'was'))) do call('UNLINK', key_of(before, 'into')) end
  for _, name in ipairs(PERSONAL) do call('UNLINK', key_of(person, name)) end
  call('UNLINK', key_of(person, 'ids'), key_of(person, 'order'), key_of(person, 'was'))
  call('ZREM', 'tb:people', person)
end

-- Forgets a person of whom nothing is held any more but what the audit log needs.
local function forget_nobody(person)
  local held = 0
  for _, name in ipairs(PERSONAL) do
    if name ~= 'audit_keys' then held = held + call('HLEN', key_of(person, name)) end
  end
  if held == 0 then forget(person) end
end

-- Removes at most `limit` events of a person from before a moment, of some types or of all; how many.
local function drop_old(person, before, limit, types)
  local rows = {}
  for _, name in ipairs(call('ZRANGEBYSCORE', key_of(person, 'order'), '-inf', '(' .. before)) do
    if #rows < limit and (not types or types[string.sub(name, 16)]) then
      local number = digits(tonumber(string.sub(name, 1, 15)))
      local row = cjson.decode(call('HGET', key_of(person, 'events'), number))
      drop_event(person, number, row)
      rows[#rows + 1] = row
    end
  end
  if #rows > 0 then
    take_again(person, rows)
    forget_nobody(person)
  end
  return #rows
end

-- Removes a row of a log; whose it was, or nothing when it was not there.
local function drop_numbered(table_name, number)
  local entry = call('XRANGE', log_key(table_name), number .. '-0', number .. '-0')[1]
  local person = entry and now(entry[2][2])
  local row = person and call('HGET', key_of(person, table_name), number)
  if not row then return nil end
  drop_row(person, table_name, number, cjson.decode(row))
  return person
end

local function packed_key(key) return '["' .. key .. '"]' end

local function values_of(key, fields)
  local found = {}
  for first = 1, #fields, 1000 do
    local part = call('HMGET', key, unpack(fields, first, math.min(first + 999, #fields)))
    for place = 1, #part do found[#found + 1] = part[place] end
  end
  return found
end

