-- Somebody waits in a room for a stranger. ARGV: 5 the server, 6 id of the room, 7 the key of its name, that of the last partner's, and those
-- that it avoids, a line each, 8 whether it waits always. Returns 0 without such a room, 2 when somebody waits whom it may meet.
local server, id = ARGV[5], ARGV[6]
if not exists(id) then
	return 0
end
if ARGV[8] ~= '1' then
	local lines, avoids = {}, {}
	for line in string.gmatch(ARGV[7], '([^\n]*)\n') do
		lines[#lines + 1] = line
		avoids[line] = #lines > 2 or avoids[line]
	end
	if find_stranger(lines[1], lines[2], avoids) then
		return 2
	end
end
local since = call('ZSCORE', OPEN_ROOMS, id)
withdraw(id)
call('HSET', OFFERS, id, server .. '\n' .. ARGV[7])
call('ZADD', OPEN_ROOMS, since or whole(now_us()), id)
call('SADD', key('offers', server), id)
call('HSET', key('room', id), 'waits', 1)
note_server(server)
return 1
