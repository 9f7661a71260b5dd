-- The numbers of the last messages of rooms. ARGV: from 5 on, ids. Returns -1 for a room that was forgotten, -2 for one that nobody has made.
local last = {}
for i = 5, #ARGV do
	local f = call('HMGET', key('room', ARGV[i]), 'created', 'last', 'gone')
	last[#last + 1] = f[3] and -1 or not f[1] and -2 or tonumber(f[2]) or 0
end
return last
