-- ARGV, for each mark: mark, moment, receipt.
for at = 3, #ARGV, 3 do mark_erased(ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
