-- What all scripts begin with. ARGV: 1 the prefix of all keys, 2 after how many microseconds without a beat a server is dead,
-- 3 how many seconds the messages of a forgotten room stay, 4 how many seconds it is known that it was forgotten; then the script's own.
-- docs/ARCHITECTURE.md says what the keys hold.
local call = redis.call
local prefix, DEAD_US, FORGET_S, KNOWN_S = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local ROOMS, LISTED, NAMES_OF_ROOMS = prefix .. 'rooms', prefix .. 'rooms:listed', prefix .. 'room_names'
local OPEN_ROOMS, OFFERS, SERVERS, NAMES, NEWS =
	prefix .. 'open_rooms', prefix .. 'offers', prefix .. 'servers', prefix .. 'names', prefix .. 'channel'

local LEFT, PAIR_US = prefix .. 'left', 24 * 60 * 60 * 1000000 -- engine.h has it, too
-- Who has a name: server, client, number of the claim, name.
local HOLDER = '^(%S*) (%x*) (%d*) (.*)$'

local function key(kind, id)
	return prefix .. kind .. ':' .. id
end

local function whole(number)
	return string.format('%.0f', number)
end

local function now_us()
	local time = call('TIME')
	return time[1] * 1000000 + time[2]
end

local function lives(server, now)
	local beat = call('ZSCORE', SERVERS, server)
	return beat and tonumber(beat) > now - DEAD_US
end

-- What a server has is cleared away one day, even if it never beats.
local function note_server(server)
	call('ZADD', SERVERS, 'NX', 0, server)
end

local function exists(id)
	local found = call('HMGET', key('room', id), 'created', 'gone')
	return found[1] and not found[2]
end

-- id, name, creator, the creator's client, topic, created, capacity, flags, waits, last, people; or nil.
local function record(id)
	local f = call('HMGET', key('room', id), 'name', 'creator', 'client', 'topic', 'created', 'capacity', 'flags', 'waits', 'last', 'gone')
	if not f[5] or f[10] then
		return nil
	end
	return {id, f[1] or '', f[2] or '', f[3] or '', f[4] or '', f[5], f[6] or '0', f[7] or '0', f[8] or '0', f[9] or '0',
		call('HLEN', key('people', id))}
end

-- What people call a room; nil if there is none.
local function label_of(id)
	local f = call('HMGET', key('room', id), 'name', 'created', 'gone')
	if not f[2] or f[3] then
		return nil
	end
	return f[1] and f[1] ~= '' and f[1] or id
end

-- Who is in a room: server, number of the message with which it came, name.
local function person(id, name_key)
	local value = call('HGET', key('people', id), name_key)
	if value then
		return string.match(value, '^(%S*) (%d*) (.*)$')
	end
end

local function remove_person(server, id, name_key)
	call('HDEL', key('people', id), name_key)
	call('SREM', key('here', server), id .. ' ' .. name_key)
end

local function add_person(server, id, name_key, joined, name)
	local other = person(id, name_key)
	if other and other ~= server then
		call('SREM', key('here', other), id .. ' ' .. name_key)
	end
	call('HSET', key('people', id), name_key, server .. ' ' .. joined .. ' ' .. name)
	call('SADD', key('here', server), id .. ' ' .. name_key)
	note_server(server)
end

-- A room that somebody has left because the server ended is looked at when it is due, since nobody forgets it when it is empty: rooms for two
-- a day later, as people may come back; the others then, too, if 'later'.
local function note_left(id, later)
	local flags = call('HGET', key('room', id), 'flags')
	local is_persistent, is_pair = math.floor((tonumber(flags) or 2) / 2) % 2 == 1, math.floor((tonumber(flags) or 0) / 4) % 2 == 1
	if not is_persistent then
		call('ZADD', LEFT, whole(now_us() + ((later or is_pair) and PAIR_US or 0)), id)
	end
end

local function withdraw(id)
	local offer = call('HGET', OFFERS, id)
	if offer then
		call('SREM', key('offers', string.match(offer, '^[^\n]*')), id)
		call('HDEL', OFFERS, id)
	end
	call('ZREM', OPEN_ROOMS, id)
end

-- The room of the offer that waits longest and fits, of the first 2000: whoever was met last comes after all others. 'avoids' has the keys as its
-- own. Returns nil without any.
local function find_stranger(seeker, last, avoids)
	local MOST, PAGE = 2000, 50
	local servers, stale, now = {}, {}, now_us()
	local chosen, spare

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
	return chosen or spare
end

-- Returns whether there is more to do: then it is to be called again.
local function forget(id)
	local room, people = key('room', id), key('people', id)
	local f = call('HMGET', room, 'key', 'created', 'gone')
	if f[2] and not f[3] then
		if f[1] and f[1] ~= '' and call('HGET', NAMES_OF_ROOMS, f[1]) == id then
			call('HDEL', NAMES_OF_ROOMS, f[1])
		end
		call('ZREM', ROOMS, id)
		call('ZREM', LISTED, id)
		call('HSET', room, 'gone', 1)
		call('EXPIRE', room, KNOWN_S)
		call('EXPIRE', key('stream', id), FORGET_S)
		call('DEL', key('marks', id))
		withdraw(id)
		call('PUBLISH', NEWS, id .. ' 0')
	end
	local page = call('HSCAN', people, 0, 'COUNT', 500)[2]
	for i = 1, #page, 2 do
		local server = string.match(page[i + 1], '^%S*')
		remove_person(server, id, page[i])
	end
	return #page > 0 and call('EXISTS', people) == 1
end

