-- A name becomes a server's if it may. ARGV: 5 the server, 6 key of the name, 7 the name, 8 its client, 9 number of the claim. Returns 1 if it
-- may, else 0; and who had it: server, client, name, all '' if nobody.
local server, name_key, name, client, number = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local holder = call('HGET', NAMES, name_key)
local of, of_client, of_number, of_name
if holder then
	of, of_client, of_number, of_name = string.match(holder, HOLDER)
end
if of then
	-- A server knows best who is there, but a claim that was on its way for long does not stand above a newer one. That it asks twice is all
	-- right: it did not get the answer.
	local may
	if of == server then
		may = tonumber(number) >= tonumber(of_number)
	else
		may = of_client == client and string.find(client, '[^0]') or not lives(of, now_us())
	end
	if not may then
		return {0, of, of_client, of_name}
	end
	call('SREM', key('names', of), name_key)
end
call('HSET', NAMES, name_key, server .. ' ' .. client .. ' ' .. number .. ' ' .. name)
call('SADD', key('names', server), name_key)
note_server(server)
return {1, of or '', of_client or '', of_name or ''}
