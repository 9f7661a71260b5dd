-- What a server has left behind goes. ARGV: 5 its id, 6 whether only if it is dead. Returns 1 when it is to be called again.
local server, MOST = ARGV[5], 300
if ARGV[6] == '1' and lives(server, now_us()) then
	return 0
end
local here, names, offers = key('here', server), key('names', server), key('offers', server)
for _, place in ipairs(call('SRANDMEMBER', here, MOST)) do
	local id, name_key = string.match(place, '^(%S*) (.*)$')
	if person(id, name_key) == server then
		remove_person(server, id, name_key)
		note_left(id, true)
	end
	call('SREM', here, place)
end
for _, name_key in ipairs(call('SRANDMEMBER', names, MOST)) do
	local holder = call('HGET', NAMES, name_key)
	if holder and string.match(holder, '^%S*') == server then
		call('HDEL', NAMES, name_key)
	end
	call('SREM', names, name_key)
end
for _, id in ipairs(call('SRANDMEMBER', offers, MOST)) do
	withdraw(id)
	call('SREM', offers, id)
end
if call('EXISTS', here, names, offers) > 0 or forget(server) then
	return 1
end
local place = call('HGET', prefix .. 'place_of', server)
if place and call('HGET', prefix .. 'places', place) == server then
	call('HDEL', prefix .. 'places', place)
end
call('HDEL', prefix .. 'place_of', server)
call('ZREM', SERVERS, server)
return 0
