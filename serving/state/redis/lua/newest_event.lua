-- The newest moment of anybody who is there still, or nothing.
while true do
  local newest = call('ZREVRANGE', 'tb:people', 0, 0, 'WITHSCORES')
  if #newest == 0 or newest[2] == '-inf' then return false end
  if call('EXISTS', key_of(newest[1], 'events')) == 1 then return newest[2] end
  if call('EXISTS', key_of(newest[1], 'ids')) == 1 then
    call('ZADD', 'tb:people', '-inf', newest[1])
  else
    call('ZREM', 'tb:people', newest[1])
  end
end
