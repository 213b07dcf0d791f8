-- For each key: its id, its place, its row.
local found = {}
local order = call('ZRANGE', 'tb:keys:order', 0, -1, 'WITHSCORES')
for at = 1, #order, 2 do found[#found + 1] = {order[at], order[at + 1], call('HGET', 'tb:keys', order[at])} end
return found
