-- A name becomes a server's if it may. ARGV: 5 the server, 6 key of the name, 7 the name, 8 its client. Returns 1 if it may, else 0; and who
-- had it: server, client, name, all '' if nobody.
local server, name_key, name, client = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local holder = call('HGET', NAMES, name_key)
local of, of_client, of_name
if holder then
	of, of_client, of_name = string.match(holder, '^(%S*) (%x*) (.*)$')
end
if of then
	-- That a server asks twice is all right: it did not get the answer.
	local same = of_client == client and (of == server or string.find(client, '[^0]'))
	if not same and lives(of, now_us()) then
		return {0, of, of_client, of_name}
	end
	call('SREM', key('names', of), name_key)
end
call('HSET', NAMES, name_key, server .. ' ' .. client .. ' ' .. name)
call('SADD', key('names', server), name_key)
note_server(server)
return {1, of or '', of_client or '', of_name or ''}
