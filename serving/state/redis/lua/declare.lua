-- ARGV: anonymous, id, rows.
local person = known_or_new(ARGV[3], ARGV[4])
for at = 5, #ARGV do call('HSET', key_of(person, 'statements'), next_number(), ARGV[at]) end
keep(person, 'statements')
