-- ARGV: anonymous id, user id. 1 when they are one from now on, 0 when they were, -1 when the visitor is another user.
local visitor = person_of('1', ARGV[3])
if visitor and visitor ~= person_of('0', ARGV[4]) and is_user(visitor) then return -1 end
local user = known_or_new('0', ARGV[4])
if not visitor then
  name_person(user, '1', ARGV[3])
  keep(user, 'ids')
  return 1
end
if visitor == user then return 0 end

for _, name in ipairs(OWNED) do
  local rows = call('HGETALL', key_of(visitor, name))
  for at = 1, #rows, 2 do call('HSET', key_of(user, name), rows[at], rows[at + 1]) end
end
call('ZUNIONSTORE', key_of(user, 'order'), 2, key_of(user, 'order'), key_of(visitor, 'order'), 'AGGREGATE', 'MAX')
local taken = call('HGETALL', key_of(visitor, 'taken'))
for at = 1, #taken, 2 do take(user, taken[at], taken[at + 1]) end
for _, id in ipairs(call('ZRANGE', key_of(visitor, 'ids'), 0, -1)) do name_person(user, '1', id) end

-- The log names the visitor still: `into` says who that is now, and `was` lets an erasure find it.
call('SET', key_of(visitor, 'into'), user, 'EX', KEEP)
call('SADD', key_of(user, 'was'), visitor)
for _, name in ipairs(PERSONAL) do call('UNLINK', key_of(visitor, name)) end
call('UNLINK', key_of(visitor, 'ids'), key_of(visitor, 'order'))
local newest = call('ZSCORE', 'tb:people', visitor)
if newest then call('ZADD', 'tb:people', 'GT', newest, user) end
call('ZREM', 'tb:people', visitor)
keep(user, 'ids', 'order', 'was', unpack(PERSONAL))
return 1
