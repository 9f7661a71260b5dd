-- Who is in rooms for servers that are dead. ARGV: 5 how many at most. Returns server, room, label, name, number of the message with
-- which it came, and so on; and the dead servers that nobody is there for.
local most, ROOMS_MOST = tonumber(ARGV[5]), 50
local found, empty, noted = {}, {}, {}

-- Who is in a room that is due will leave it, and it is noted again if that happens in the same way.
for _, id in ipairs(call('ZRANGEBYSCORE', LEFT, '-inf', whole(now_us()), 'LIMIT', 0, ROOMS_MOST)) do
	local f = call('HMGET', key('room', id), 'flags', 'key', 'said')
	local is_pair = math.floor((tonumber(f[1]) or 0) / 4) % 2 == 1
	call('ZREM', LEFT, id)
	if exists(id) and call('EXISTS', key('people', id)) == 0 and (is_pair or not f[2] or f[2] == '' or not f[3]) then
		forget(id)
	end
end

for _, server in ipairs(call('ZRANGEBYSCORE', SERVERS, '-inf', whole(now_us() - DEAD_US), 'LIMIT', 0, 100)) do
	local here = key('here', server)
	local before = #found
	for _, place in ipairs(call('SRANDMEMBER', here, most - #found / 5)) do
		local id, name_key = string.match(place, '^(%S*) (.*)$')
		local of, joined, name = person(id, name_key)
		local label = label_of(id)
		if of == server and label then
			if not noted[id] then
				note_left(id)
				noted[id] = true
			end
			for _, value in ipairs({server, id, label, name, joined}) do
				found[#found + 1] = value
			end
		elseif of == server then
			remove_person(server, id, name_key)
		else
			call('SREM', here, place)
		end
	end
	if #found == before and call('EXISTS', here) == 0 then
		empty[#empty + 1] = server
	end
	if #found / 5 >= most then
		break
	end
end
return {found, empty}
