-- ARGV, for each entry: number, entry. What the log has already stays as it is.
local last = call('XREVRANGE', 'tb:audit', '+', '-', 'COUNT', 1)
local newest = #last > 0 and tonumber(string.match(last[1][1], '^%d+')) or 0
for at = 3, #ARGV, 2 do
  if tonumber(ARGV[at]) > newest then call('XADD', 'tb:audit', ARGV[at] .. '-0', 'entry', ARGV[at + 1]) end
end
