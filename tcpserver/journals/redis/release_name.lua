-- The name is free, if it is the server's. ARGV: 5 the server, 6 key of the name.
local holder = call('HGET', NAMES, ARGV[6])
if holder and string.match(holder, '^%S*') == ARGV[5] then
	call('HDEL', NAMES, ARGV[6])
end
return call('SREM', key('names', ARGV[5]), ARGV[6])
