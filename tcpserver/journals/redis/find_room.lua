-- Finds a room. ARGV: 5 key of its name, 6 id; each may be empty. Returns its record or nil.
local id = ARGV[5] ~= '' and call('HGET', NAMES_OF_ROOMS, ARGV[5])
return id and record(id) or ARGV[6] ~= '' and record(ARGV[6]) or nil
