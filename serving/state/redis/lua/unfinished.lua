-- Each receipt that is not finished, and its row.
local found = {}
for _, receipt in ipairs(call('SMEMBERS', 'tb:unfinished')) do
  found[#found + 1] = {receipt, call('HGET', 'tb:receipts', receipt)}
end
return found
