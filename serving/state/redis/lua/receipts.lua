-- ARGV: marks. Each receipt of their erasures, and its row.
local seen, found = {}, {}
for at = 3, #ARGV do
  for _, row in ipairs(call('ZRANGEBYLEX', 'tb:erasures', '[' .. ARGV[at] .. ':', '(' .. ARGV[at] .. ';')) do
    local receipt = string.match(row, '[^:]*$')
    local text = not seen[receipt] and call('HGET', 'tb:receipts', receipt)
    if text then found[#found + 1] = {receipt, text} end
    seen[receipt] = true
  end
end
return found
