-- The server lives. ARGV: 5 its id. Returns 0 when it was not known, or was silent for so long that others may have begun to clear it away.
local now = now_us()
local before = tonumber(call('ZSCORE', SERVERS, ARGV[5]) or 0)
call('ZADD', SERVERS, whole(now), ARGV[5])
return before > now - DEAD_US and 1 or 0
