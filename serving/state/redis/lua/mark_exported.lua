-- ARGV: up to which number all events are in files. Nothing else lets go of the log.
if tonumber(ARGV[3]) > tonumber(call('GET', 'tb:exported') or 0) then
  call('SET', 'tb:exported', ARGV[3])
  call('XTRIM', 'tb:log', 'MINID', digits(tonumber(ARGV[3]) + 1))
end
