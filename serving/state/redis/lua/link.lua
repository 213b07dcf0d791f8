-- ARGV: the key of marks or '', user and visitor as `people_at` has them, then the statements that the merge declares.
-- 1 when they are one from now on, 0 when they were, -1 when the visitor is another user, -2 when the key is another,
-- -3 when one of the people stands otherwise.
if strange(ARGV[3]) then return -2 end
local people, first = people_at(4)
if not people then return -3 end
local user_id, visitor_id = people[1].id, people[2].id
local visitor = person_of('1', visitor_id)
if visitor and visitor == person_of('0', user_id) then return 0 end
if visitor and is_user(visitor) then return -1 end
local user = known_or_new('0', user_id)
local limit, receipt, moment = erased(people[1].mark)
if limit then mark_erased(people[2].mark, moment, receipt) end
if not visitor then
  name_person(user, '1', visitor_id)
  keep(user, 'ids')
  return 1
end

-- What an erased user had as a visitor from before goes too.
if limit then
  for _, name in ipairs(call('ZRANGEBYSCORE', key_of(visitor, 'order'), '-inf', moment)) do
    local number = digits(tonumber(string.sub(name, 1, 15)))
    drop_event(visitor, number, cjson.decode(call('HGET', key_of(visitor, 'events'), number)))
  end
  local said = call('HGETALL', key_of(visitor, 'statements'))
  for at = 1, #said, 2 do
    if cjson.decode(said[at + 1])[4] <= limit then call('HDEL', key_of(visitor, 'statements'), said[at]) end
  end
  local taken = call('HGETALL', key_of(visitor, 'taken'))
  for at = 1, #taken, 2 do
    if tonumber(taken[at + 1]) <= limit then call('HDEL', key_of(visitor, 'taken'), taken[at]) end
  end
end

for _, name in ipairs(OWNED) do
  local rows = call('HGETALL', key_of(visitor, name))
  for at = 1, #rows, 2 do call('HSET', key_of(user, name), rows[at], rows[at + 1]) end
end
call('ZUNIONSTORE', key_of(user, 'order'), 2, key_of(user, 'order'), key_of(visitor, 'order'), 'AGGREGATE', 'MAX')
local taken = call('HGETALL', key_of(visitor, 'taken'))
for at = 1, #taken, 2 do
  local kind, item = string.match(taken[at], '^(.-)\n(.*)$')
  take(user, item, kind, taken[at + 1])
end
for at = first, #ARGV do call('HSET', key_of(user, 'statements'), next_number(), ARGV[at]) end
for _, id in ipairs(call('ZRANGE', key_of(visitor, 'ids'), 0, -1)) do name_person(user, '1', id) end

-- The log names the visitor still: `into` says who that is now, and `was` lets an erasure find it.
call('SET', key_of(visitor, 'into'), user, 'EX', KEEP)
call('SADD', key_of(user, 'was'), visitor)
for _, name in ipairs(PERSONAL) do call('UNLINK', key_of(visitor, name)) end
call('UNLINK', key_of(visitor, 'ids'), key_of(visitor, 'order'))
call('ZREM', 'tb:people', visitor)
renew_newest(user)
keep(user, 'ids', 'order', 'was', unpack(PERSONAL))
return 1
