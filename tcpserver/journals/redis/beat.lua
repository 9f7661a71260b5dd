-- The server lives. ARGV: 5 its id. Returns 0 when it was not known.
local before = tonumber(call('ZSCORE', SERVERS, ARGV[5]) or 0)
call('ZADD', SERVERS, whole(now_us()), ARGV[5])
return before > 0 and 1 or 0
