-- Who has a name. ARGV: 5 its key. Returns server, client, name; or nil.
local holder = call('HGET', NAMES, ARGV[5])
local of, client, number, name
if holder then
	of, client, number, name = string.match(holder, HOLDER)
end
return of and lives(of, now_us()) and {of, client, name} or nil
