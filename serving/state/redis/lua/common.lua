-- What all scripts share. ARGV[1] and ARGV[2] say in seconds how long people and event ids are kept;
-- a script's own arguments begin at ARGV[3]. An id that may be absent comes as '' or as '=' and the id.
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

-- Every key of a person lasts KEEP seconds from the last write on; those that were not written are renewed once a day.
local function keep(person, ...)
  if call('TTL', key_of(person, 'ids')) < KEEP - DAY then
    for _, name in ipairs(PERSONAL) do call('EXPIRE', key_of(person, name), KEEP) end
    for _, name in ipairs({'ids', 'order', 'was'}) do call('EXPIRE', key_of(person, name), KEEP) end
    local ids = call('ZRANGE', key_of(person, 'ids'), 0, -1, 'WITHSCORES')
    for place = 1, #ids, 2 do call('EXPIRE', id_key(ids[place + 1], ids[place]), KEEP) end
  end
  for _, name in ipairs({...}) do call('EXPIRE', key_of(person, name), KEEP) end
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

local function take(person, taken, moment)
  local before = call('HGET', key_of(person, 'taken'), taken)
  if not before or tonumber(before) < tonumber(moment) then call('HSET', key_of(person, 'taken'), taken, moment) end
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

