-- Somebody is no longer in a room, if it was there for that server. ARGV: 5 the server, 6 id of the room, 7 key of the name.
if person(ARGV[6], ARGV[7]) == ARGV[5] then
	remove_person(ARGV[5], ARGV[6], ARGV[7])
	if math.floor((tonumber(call('HGET', key('room', ARGV[6]), 'flags')) or 0) / 4) % 2 == 1 then
		note_left(ARGV[6]) -- who was in a room for two may come back
	end
end
return 0
