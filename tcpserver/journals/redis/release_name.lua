-- The name is free, if it is the server's by that claim. ARGV: 5 the server, 6 key of the name, 7 number of the claim.
local holder = call('HGET', NAMES, ARGV[6])
local of, client, number
if holder then
	of, client, number = string.match(holder, HOLDER)
end
if of ~= ARGV[5] or number ~= ARGV[7] then
	return 0
end
call('HDEL', NAMES, ARGV[6])
return call('SREM', key('names', ARGV[5]), ARGV[6])
