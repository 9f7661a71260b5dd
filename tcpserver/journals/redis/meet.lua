-- Takes the offer that waits longest and fits. ARGV: 5 key of the name of who looks, 6 that of its last partner, from 7 on those that it
-- avoids. Returns the room's record; or nil.
local avoids = {}

for i = 7, #ARGV do
	avoids[ARGV[i]] = true
end
local chosen = find_stranger(ARGV[5], ARGV[6], avoids)
if not chosen then
	return nil
end
withdraw(chosen)
call('HSET', key('room', chosen), 'waits', 0)
return record(chosen)
