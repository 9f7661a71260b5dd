-- Messages up to a number need not be kept. ARGV: 5 id of the room, 6 the number.
local last = tonumber(call('HGET', key('room', ARGV[5]), 'last') or 0)
-- Where numbers are missing, this keeps more than it has to.
return call('XTRIM', key('stream', ARGV[5]), 'MAXLEN', whole(math.max(0, last - tonumber(ARGV[6]))))
