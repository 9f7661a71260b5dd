-- A room that is empty on one server is forgotten if nobody is there on any, and it has no name, or nothing was said there. ARGV: 5 id.
local f = call('HMGET', key('room', ARGV[5]), 'created', 'key', 'said')
if f[1] and call('EXISTS', key('people', ARGV[5])) == 0 and (not f[2] or f[2] == '' or not f[3]) then
	forget(ARGV[5])
end
return 0
