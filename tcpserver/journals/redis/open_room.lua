-- Makes a room if there is none of that id. ARGV: 5 id, 6 name, 7 its key, 8 creator, 9 the creator's client, 10 topic, 11 created, 12 capacity,
-- 13 flags, 14 waits. Returns its record; 'name' when another room has the name.
local id, name_key = ARGV[5], ARGV[7]
if not exists(id) then
	if name_key ~= '' then
		local other = call('HGET', NAMES_OF_ROOMS, name_key)
		if other and other ~= id and exists(other) then
			return 'name'
		end
		call('HSET', NAMES_OF_ROOMS, name_key, id)
	end
	call('DEL', key('room', id), key('stream', id), key('people', id), key('marks', id))
	call('HSET', key('room', id), 'name', ARGV[6], 'key', name_key, 'creator', ARGV[8], 'client', ARGV[9], 'topic', ARGV[10],
		'created', ARGV[11], 'capacity', ARGV[12], 'flags', ARGV[13], 'waits', ARGV[14], 'last', 0, 'at', 0)
	call('ZADD', ROOMS, 0, id)
	if tonumber(ARGV[13]) % 2 == 1 then
		call('ZADD', LISTED, 0, id)
	end
end
return record(id)
