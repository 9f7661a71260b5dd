-- Somebody waits in a room for a stranger, or does not. ARGV: 5 id, 6 whether.
if exists(ARGV[5]) then
	call('HSET', key('room', ARGV[5]), 'waits', ARGV[6])
end
if ARGV[6] == '0' then
	withdraw(ARGV[5])
end
return 0
