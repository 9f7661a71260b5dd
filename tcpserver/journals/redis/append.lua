-- Keeps messages, all of them in this one step. ARGV: 5 how many messages a room keeps (0: all), 6 after how many numbers of a client
-- the older ones are forgotten, 7 after how many seconds all; then for each message 12: room, client, number, kind, participant, its key, the
-- key of the text (a new name), text, server, seq or 0, at (with seq), and the number that seq has to be greater than.
--
-- Returns three numbers for each message, and one list more. Kept: 0, seq, at. Repeated: 1, seq, 0, and room, label, at in the list. Refused:
-- 2, the errno, 0. Or, with nothing done: 'lost', and the ids of rooms that are not there although nobody has forgotten them. 'at' is in microseconds in the numbers, which have 53 bits, and in nanoseconds in texts.
local MAXLEN, WINDOW, SENT_S = ARGV[5], tonumber(ARGV[6]), ARGV[7]
local EIO, ENOENT, EEXIST = 5, 2, 17
local TEXT, ACTION, JOINED, LEFT, NICK, TOPIC = '0', '1', '2', '3', '4', '5'
local now = now_us()
local rooms, changed, clients = {}, {}, {}
local answers, repeats = {}, {}
local failure

local function answer(outcome, seq, at)
	local count = #answers
	answers[count + 1], answers[count + 2], answers[count + 3] = outcome, seq, at
end

local function room_of(id)
	local room = rooms[id]
	if not room then
		local f = call('HMGET', key('room', id), 'created', 'last', 'at', 'gone')
		room = {id = id, stream = key('stream', id), last = tonumber(f[2]) or 0, at = tonumber(f[3]) or 0}
		room.error = f[4] and ENOENT or nil
		room.is_lost = not f[1]
		rooms[id] = room
	end
	return room
end

-- Two tables for each client, so that what is old goes all at once: when the new one is full it becomes the old one.
local function client_of(id)
	local client = clients[id]
	if not client then
		client = {new = key('sent', id), old = key('sent_before', id)}
		client.count = call('HLEN', client.new)
		client.has_old = call('EXISTS', client.old) == 1
		clients[id] = client
	end
	return client
end

local function find_sent(client, number)
	return call('HGET', client.new, number) or client.has_old and call('HGET', client.old, number)
end

local function add_sent(client, number, value)
	if client.count >= WINDOW then
		call('RENAME', client.new, client.old)
		client.count, client.has_old = 0, true
	end
	call('HSET', client.new, number, value)
	client.count, client.changed = client.count + 1, true
end

local function add_message(room, seq, kind, at, participant, text)
	if MAXLEN == '0' then
		return redis.pcall('XADD', room.stream, whole(seq) .. '-0', 'kind', kind, 'at', at, 'participant', participant, 'text', text)
	end
	return redis.pcall('XADD', room.stream, 'MAXLEN', MAXLEN, whole(seq) .. '-0', 'kind', kind, 'at', at, 'participant', participant,
		'text', text)
end

-- Whether Redis takes nothing at all now.
local function refuses_all(words)
	for _, reason in ipairs({'OOM ', 'MISCONF ', 'NOREPLICAS ', 'READONLY '}) do
		if string.find(words, reason, 1, true) then
			return true
		end
	end
end

local function keep(i, room, client)
	local seq, at = tonumber(ARGV[i + 9]), nil
	local restored = seq ~= 0
	if restored then
		if seq <= room.last then
			return answer(2, EEXIST, 0)
		end
		at = ARGV[i + 10]
		room.at = math.max(room.at, math.ceil(tonumber(at) / 1000))
	else
		seq = math.max(room.last, tonumber(ARGV[i + 11])) + 1
		room.at = math.max(room.at, now)
		at = whole(room.at) .. '000'
	end
	local kind, participant, text, server = ARGV[i + 3], ARGV[i + 4], ARGV[i + 7], ARGV[i + 8]
	local added = add_message(room, seq, kind, at, participant, text)
	if type(added) == 'table' and string.find(added.err, 'XADD', 1, true) and not restored then
		-- Somebody else has added to the stream.
		local top = call('XREVRANGE', room.stream, '+', '-', 'COUNT', 1)[1]
		seq = math.max(seq, top and tonumber(string.match(top[1], '^%d+')) or 0) + 1
		added = add_message(room, seq, kind, at, participant, text)
	end
	if type(added) == 'table' then
		if #changed == 0 and refuses_all(added.err) then
			failure = added
		end
		return answer(2, EIO, 0)
	end
	room.last = seq
	if not room.is_changed then
		room.is_changed = true
		changed[#changed + 1] = room
	end
	add_sent(client, ARGV[i + 2], whole(seq) .. ' ' .. at .. ' ' .. room.id)
	if kind == JOINED then
		add_person(server, room.id, ARGV[i + 5], whole(seq), participant)
	elseif kind == LEFT or kind == NICK then
		local of, joined = person(room.id, ARGV[i + 5])
		if of == server then
			remove_person(server, room.id, ARGV[i + 5])
			if kind == NICK then
				add_person(server, room.id, ARGV[i + 6], joined, text)
			end
		end
	elseif kind == TOPIC then
		room.topic = text
	end
	room.said = room.said or kind == TEXT or kind == ACTION or kind == TOPIC
	answer(0, seq, room.at)
end

local lost = {'lost'}
for i = 8, #ARGV, 12 do
	local room = room_of(ARGV[i])
	if room.is_lost then
		lost[#lost + 1] = room.id
		room.is_lost = false
	end
end
if #lost > 1 then
	return lost
end

for i = 8, #ARGV, 12 do
	local room, client = room_of(ARGV[i]), client_of(ARGV[i + 1])
	local sent = find_sent(client, ARGV[i + 2])
	if sent then
		local seq, at, id = string.match(sent, '^(%d+) (%d+) (.*)$')
		answer(1, tonumber(seq), 0)
		local count = #repeats
		repeats[count + 1], repeats[count + 2], repeats[count + 3] = id, label_of(id) or '', at
	elseif room.error then
		answer(2, room.error, 0)
	else
		keep(i, room, client)
	end
	if failure then
		return failure
	end
end

local news = {}
for i, room in ipairs(changed) do
	call('HSET', key('room', room.id), 'last', whole(room.last), 'at', whole(room.at))
	if room.said then
		call('HSET', key('room', room.id), 'said', 1)
	end
	if room.topic then
		call('HSET', key('room', room.id), 'topic', room.topic)
	end
	news[i] = room.id .. ' ' .. whole(room.last)
end
for _, client in pairs(clients) do
	if client.changed then
		call('EXPIRE', client.new, SENT_S)
	end
end
if #news > 0 then
	call('PUBLISH', NEWS, table.concat(news, ' '))
end
answers[#answers + 1] = repeats
return answers
