-- A server comes to a place: one that was there before is dead. ARGV: 5 its id, 6 the place.
local places = prefix .. 'places'
local before = call('HGET', places, ARGV[6])
if before and before ~= ARGV[5] then
	call('ZADD', SERVERS, 'XX', 0, before)
end
call('HSET', places, ARGV[6], ARGV[5])
call('HSET', prefix .. 'place_of', ARGV[5], ARGV[6])
return 0
