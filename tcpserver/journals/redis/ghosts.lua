-- Who is in rooms for servers that are dead. ARGV: 5 how many at most. Returns server, room, label, name, number of the message with
-- which it came, and so on; and the dead servers that nobody is there for.
local most = tonumber(ARGV[5])
local found, empty = {}, {}
for _, server in ipairs(call('ZRANGEBYSCORE', SERVERS, '-inf', whole(now_us() - DEAD_US), 'LIMIT', 0, 100)) do
	local here = key('here', server)
	local before = #found
	for _, place in ipairs(call('SRANDMEMBER', here, most - #found / 5)) do
		local id, name_key = string.match(place, '^(%S*) (.*)$')
		local of, joined, name = person(id, name_key)
		local label = label_of(id)
		if of == server and label then
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
