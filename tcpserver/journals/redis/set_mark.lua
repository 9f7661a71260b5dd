-- Keeps a mark. ARGV: 5 id of the room, 6 key of the name, 7 the number.
local before = tonumber(call('HGET', key('marks', ARGV[5]), ARGV[6]) or 0)
if exists(ARGV[5]) and tonumber(ARGV[7]) > before then
	call('HSET', key('marks', ARGV[5]), ARGV[6], ARGV[7])
end
return 0
