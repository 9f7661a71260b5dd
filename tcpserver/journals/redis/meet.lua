-- Takes the offer that waits longest and fits; of the first MOST. ARGV: 5 key of the name of who looks, 6 that of its last partner, from 7 on those
-- that it avoids. Returns the room's record; or nil.
local MOST, PAGE = 2000, 50
local seeker, last, avoids = ARGV[5], ARGV[6], {}
local now, servers = now_us(), {}
local chosen, spare
local stale = {}

for i = 7, #ARGV do
	avoids[ARGV[i]] = true
end

local function server_lives(server)
	if servers[server] == nil then
		servers[server] = lives(server, now) or false
	end
	return servers[server]
end

-- Whether the two may meet, and whether only when nobody else waits.
local function fits(offer)
	local server, name_key, partner, avoided = string.match(offer, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
	if not server or not server_lives(server) or name_key == seeker or avoids[name_key] then
		return false
	end
	if string.find('\n' .. avoided, '\n' .. seeker .. '\n', 1, true) then
		return false
	end
	return true, name_key == last or partner == seeker
end

local function look_at(id)
	local offer = call('HGET', OFFERS, id)
	if not offer or not exists(id) then
		stale[#stale + 1] = id
		return
	end
	local may, rather_not = fits(offer)
	if may and not rather_not then
		chosen = id
	elseif may then
		spare = spare or id
	end
end

for start = 0, MOST - 1, PAGE do
	local page = call('ZRANGE', OPEN_ROOMS, start, start + PAGE - 1)
	for _, id in ipairs(page) do
		if not chosen then
			look_at(id)
		end
	end
	if chosen or #page < PAGE then
		break
	end
end
for _, id in ipairs(stale) do
	withdraw(id)
end
chosen = chosen or spare
if not chosen then
	return nil
end
withdraw(chosen)
call('HSET', key('room', chosen), 'waits', 0)
return record(chosen)
