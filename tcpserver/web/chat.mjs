/*
 * The chat page: store (what is to be said, in IndexedDB), wire (the WebSocket), rooms (what was heard), the log, the lists, the composer.
 *
 * Said once. Each line gets a number from its session's counter in the same IndexedDB transaction that keeps it, so (session, number) means
 * one text for ever, whatever tabs do; the server says each pair once. Each tab has its own session, and holds its lock (a Web Lock; where a
 * page may not have those, a lease in the database), because the server ends the older of two connections of one session. The lock is for
 * peace alone, the transaction for truth. Lines of a tab that is gone are taken over, with their session and numbers, by one that lives.
 *
 * Heard once. Each room has 'end', the number of the last message that came; a new connection asks for what is after it.
 *
 * Text becomes part of the page by textContent alone.
 */

const $ = id => document.getElementById(id);
const LINE_BYTES_MAX = 60000; // of a request; the server takes 65,535
const DAY_MS = 864e5;
const WINDOW = 240, STEP = 80; // rows drawn; more or fewer when scrolling
const PAGE = 100;              // messages asked for
const CAP = 20000;             // messages of a room kept here; others are asked for again
const LOUD = 3;                // messages at a time that are read out one by one
const PASTE_LINES = 6;         // from which on it is asked whether to send

function make(tag, name, text) {
	const element = document.createElement(tag);
	if (name) element.className = name;
	if (text !== undefined) element.textContent = text;
	return element;
}

function remember(storage, key, value) {
	try {
		if (value === undefined) return JSON.parse(storage.getItem('tcpchat.' + key));
		storage.setItem('tcpchat.' + key, JSON.stringify(value));
	} catch { /* private windows may have none */ }
	return value ?? null;
}

const random = (bytes = 16) => [...crypto.getRandomValues(new Uint8Array(bytes))].map(byte => byte.toString(16).padStart(2, '0')).join('');
const keyOf = name => name.normalize('NFC').toLowerCase();
const baseOf = name => name.replace(/#[0-9a-f]{6}$/, '');
const plural = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? '' : 's'}`;

// ---- Store: sessions with their counters, lines with their numbers ----

const store = {
	db: null, sessions: new Map(), lines: new Map(), // the maps where there is no database

	open() {
		return new Promise(resolve => {
			let request;
			try { request = indexedDB.open('tcpchat', 1); } catch { return resolve(); }
			request.onupgradeneeded = () => {
				request.result.createObjectStore('sessions', { keyPath: 'id' });
				request.result.createObjectStore('lines', { keyPath: ['session', 'number'] });
			};
			request.onsuccess = () => { store.db = request.result; store.db.onversionchange = () => store.db.close(); resolve(); };
			request.onerror = request.onblocked = () => resolve();
		});
	},

	// Runs work(get, put, remove, all) in one transaction; the promise is kept when it is on disk.
	run(work) {
		if (!store.db) {
			const key = (name, value) => (name === 'sessions' ? value.id : value.session + value.number);
			return Promise.resolve(work({
				get: (name, id, then) => then(store[name].get(id)),
				put: (name, value) => store[name].set(key(name, value), value),
				remove: (name, id) => store[name].delete([id].flat().join('')),
				all: (name, then) => then([...store[name].values()]),
			}));
		}
		return new Promise((resolve, reject) => {
			const change = store.db.transaction(['sessions', 'lines'], 'readwrite');
			const done = (request, then) => { request.onsuccess = () => then(request.result); };
			change.oncomplete = () => resolve();
			change.onabort = change.onerror = () => reject(change.error);
			work({
				get: (name, id, then) => done(change.objectStore(name).get(id), then),
				put: (name, value) => change.objectStore(name).put(value),
				remove: (name, id) => change.objectStore(name).delete(id),
				all: (name, then) => done(change.objectStore(name).getAll(), then),
			});
		});
	},

	// Keeps a line: gives it the next number of its session; a session that somebody cleared away is replaced by a new one.
	add: line => store.run(({ get, put }) => get('sessions', line.session, found => {
		const session = found ?? { id: line.session = random(), name: line.name, next: 1 };
		line.number = session.next++;
		put('sessions', session);
		put('lines', line);
	})),
	keep: line => store.run(({ put }) => put('lines', line)),
	forget: line => store.run(({ remove }) => remove('lines', [line.session, line.number])),
	async all(name) {
		let values;
		await store.run(({ all }) => all(name, result => { values = result; }));
		return values;
	},
};

// ---- Which session is ours ----

const held = new Map(); // session id: how to let it go

const LEASE_MS = 90000;

// Takes the session for this tab; false when another tab has it.
async function claim(id) {
	if (held.has(id)) return true;
	if (navigator.locks) {
		const free = await new Promise(resolve => {
			navigator.locks.request('tcpchat ' + id, { ifAvailable: true }, lock => lock && new Promise(letGo => { held.set(id, letGo); resolve(true); }))
				.then(() => resolve(false), () => resolve(false));
		});
		return free;
	}
	let mine = false;
	await store.run(({ get, put }) => get('sessions', id, session => {
		if (!session || session.until > Date.now()) return;
		mine = true;
		put('sessions', { ...session, until: Date.now() + LEASE_MS });
	}));
	if (mine) held.set(id, () => lease(id, 0));
	return mine;
}

const lease = (id, ms) => store.run(({ get, put }) => get('sessions', id, session => session && put('sessions', { ...session, until: Date.now() + ms })));

function release(id) {
	held.get(id)?.();
	held.delete(id);
}

if (!navigator.locks) {
	setInterval(() => { for (const id of held.keys()) lease(id, LEASE_MS); }, LEASE_MS / 6);
	addEventListener('pagehide', () => { for (const id of held.keys()) release(id); });
}

async function chooseSession() {
	let id = remember(sessionStorage, 'session');
	const known = (await store.all('sessions')).some(session => session.id === id);
	if (!known || !await claim(id)) {
		id = random();
		await store.run(({ put }) => put('sessions', { id, name: baseOf(me.name), next: 1, until: 0 }));
		await claim(id);
	}
	takeSession(id);
}

function takeSession(id) {
	me.session = id;
	remember(sessionStorage, 'session', id);
}

// ---- Who I am ----

const me = { name: '', chosen: '', session: '', mention: null, version: 0 };

function setName(name) {
	me.name = name;
	me.version++;
	const names = [...new Set([name, baseOf(name)])].map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
	me.mention = new RegExp(`(?<![\\p{L}\\p{N}_])@${baseOf(name).length < 3 ? '' : '?'}(?:${names.join('|')})(?![\\p{L}\\p{N}_])`, 'giu');
	$('me-name').textContent = name;
	paintAvatar($('me-avatar'), name);
	refresh('log', 'people');
}

const isMine = name => name !== undefined && keyOf(name) === keyOf(me.name);
const mentions = text => { me.mention.lastIndex = 0; return me.mention.test(text); };

// ---- Wire ----

/*
 * What to do when a connection ends with a close code; any other one: connect again. 1008: the error before it has told why.
 *
 *   1000 we said goodbye            stay away
 *   1001, 1006, 1011-1013, 4408     connect again, later each time
 *   1002, 1003, 1007                a fault of this page: stay away
 *   1009 a line was too long        refuse it, connect again
 *   4000 another tab has our session   take another session, connect again
 */
const CLOSES = {
	1000: { stop: 'You have left.' },
	1002: { stop: 'The server did not understand this page; load it again.' },
	1003: { stop: 'The server did not understand this page; load it again.' },
	1007: { stop: 'The server did not understand this page; load it again.' },
	1008: { stop: 'The server has refused this connection.' },
	1009: { then: () => refuseLargest('it is too long for this server') },
	4000: { then: async () => { release(me.session); remember(sessionStorage, 'session', ''); await chooseSession(); } },
};

const HEARD_MS = 20000, PONG_MS = 10000, PROBE_MS = 4000, OPEN_MS = 15000, DELAY_MS = 500, DELAY_MOST_MS = 30000;

const wire = {
	socket: null, on: false, session: '', tries: 0, timer: 0, due: 0, heard: 0, deadline: 0, fault: null, stopped: '', asks: [], asked: 0, slow: false,
};

function send(request) {
	if (wire.on) wire.socket.send(typeof request === 'string' ? request : JSON.stringify(request));
}

// Asks the server; 'each' sees every event of the answer at once. A ping with the same id behind it marks the answer's end.
function ask(request, each) {
	return new Promise(resolve => {
		if (!wire.on) return resolve({ events: [], error: { code: 'offline', text: 'there is no connection now' } });
		const id = 'q' + ++wire.asked;
		wire.asks.push({ id, each, resolve, events: [], error: null });
		send({ ...request, id });
		send({ op: 'ping', id: id + 'e', text: id });
	});
}

function connect() {
	clearTimeout(wire.timer);
	if (wire.socket || !me.name || wire.stopped) return;
	const socket = wire.socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/chat/join`);
	wire.fault = null;
	wire.deadline = Date.now() + OPEN_MS;
	socket.onopen = () => socket.send(JSON.stringify(firstFrame()));
	socket.onmessage = ({ data }) => { wire.heard = Date.now(); if (wire.on) wire.deadline = 0; hear(JSON.parse(data)); };
	socket.onclose = ({ code }) => lost(code);
	refresh('state');
}

function firstFrame() {
	const room = wire.first = firstRoom();
	const frame = { op: 'session', session: me.session, name: me.name, room: room.id || room.name, history: 'none' };
	wire.session = me.session;
	if (room.id) Object.assign(frame, { after: room.end, room_id: room.id, room: room.stranger ? room.id : room.name });
	return frame;
}

// The connection is of no use any more: forgets it at once, however long the browser takes to close it.
function drop() {
	const socket = wire.socket;
	if (!socket) return;
	socket.onopen = socket.onmessage = socket.onclose = null;
	socket.close();
	lost(1006);
}

async function lost(code) {
	const welcomed = wire.on, asks = wire.asks, close = CLOSES[code] ?? {};
	wire.socket = null;
	wire.on = false;
	wire.asks = [];
	for (const { resolve, events } of asks) resolve({ events, error: { code: 'offline', text: 'the connection broke' } });
	for (const room of rooms) {
		room.here = false;
		room.loading = false;
		for (const line of room.pending) line.sent = false;
	}
	refresh('log', 'state');
	if (!welcomed && wire.fault && notLetIn(wire.fault)) return;
	if (close.stop && code !== 1008 || code === 1008 && wire.fault?.code !== 'server-full') {
		wire.stopped = wire.fault?.text ?? close.stop;
		return refresh('state');
	}
	await close.then?.();
	const least = code === 1001 ? 1000 : DELAY_MS; // a server that comes back is not to be met by all at once
	later(least * (0.5 + Math.random()) + Math.min(DELAY_MOST_MS, DELAY_MS * (2 ** wire.tries - 1)) * Math.random());
	wire.tries = Math.min(wire.tries + 1, 10);
}

function later(ms) {
	clearTimeout(wire.timer);
	wire.due = Date.now() + ms;
	wire.timer = setTimeout(connect, ms);
	refresh('state');
}

// The first frame was refused. Returns whether somebody has to do something before the next one.
function notLetIn(fault) {
	if (['bad-name', 'usage', 'bad-request'].includes(fault.code)) {
		askName(fault.text);
		return true;
	}
	if (['no-such-room', 'bad-room-name', 'room-full', 'too-many-rooms'].includes(fault.code)) {
		const room = wire.first;
		room.isOver = fault.text;
		if (keyOf(room.name) === 'lobby') return false;
		if (!rooms.some(other => !other.isOver)) roomNamed('lobby', true);
		later(DELAY_MS * Math.random());
		return true;
	}
	return false;
}

// Something tells that the world may have changed (awake, online): is the connection still one?
function probe() {
	if (wire.on) {
		wire.deadline ||= Date.now() + PROBE_MS;
		send({ op: 'ping' });
	} else if (!wire.socket) {
		wire.tries = 0;
		connect();
	}
}

let ticked = Date.now();

function tick() {
	const now = Date.now();
	if (now - ticked > 15000) probe(); // this machine slept
	ticked = now;
	if (wire.socket && wire.deadline && now > wire.deadline) return drop();
	if (wire.on && !wire.deadline && now - wire.heard > HEARD_MS) {
		wire.deadline = now + PONG_MS;
		send({ op: 'ping' });
	}
	if (!wire.on) refresh('state');
}

// ---- What the server says ----

function hear(event) {
	const asked = wire.asks[0];
	if (event.id !== undefined && typeof event.id === 'number') return answered(event);
	if (event.kind === 'pong') {
		if (asked && event.id === asked.id + 'e') { wire.asks.shift(); asked.resolve(asked); }
		return;
	}
	if (event.code === 'room' || event.kind === 'welcome') settle(event, asked?.id === event.id ? asked : null);
	if (event.seq !== undefined && event.code === undefined) {
		const room = roomNamed(event.room);
		if (room && (!event.history || event.seq === room.end + 1)) return happened(room, event);
	}
	if (asked && (event.history || event.id === asked.id)) {
		asked.events.push(event);
		if (event.kind === 'error') asked.error = event;
		asked.each?.(event);
		return;
	}
	(HEARD[event.kind] ?? (() => {}))(event);
}

const HEARD = {
	room_closed: event => closed(roomNamed(event.room), event),
	direct(event) {
		const other = isMine(event.participant) ? event.to : event.participant;
		note(view.room, { kind: 'direct', who: event.participant, text: event.text, to: event.to });
		if (!isMine(event.participant)) alarm(view.room, event.participant, event.text, true);
		people.last = other;
	},
	error(event) {
		if (!wire.on) wire.fault = event;
		else if (event.code === 'line-too-long') refuseLargest(event.text);
		else note(view.room, { kind: 'note', text: event.text, bad: true });
	},
	notice(event) {
		const room = event.room && roomNamed(event.room);
		if (event.event_type) wire.slow = true;
		else if (event.code === 'skipped' && room) note(room, { kind: 'note', text: `${plural(event.count, 'message')} not kept any more` });
		else if (event.code === 'behind' || event.code === 'room') return;
		else if (event.participant && event.room) {
			note(view.room, { kind: 'invitation', text: event.text.replace(/;.*$/, ''), room: /\/join (\S+)/.exec(event.text)?.[1] ?? event.room });
			alarm(view.room, event.participant, event.text, true);
		} else if (event.text) note(room || view.room, { kind: 'note', text: event.text });
	},
};

// A place tells that we are in a room, and up to where it had been said.
function settle(place, asked) {
	let room = asked?.room ?? (place.kind === 'welcome' ? wire.first : roomNamed(place.room, true));
	const known = rooms.find(other => other.id === place.room_id && other !== room);
	if (known) { if (view.room === room) show(known); rooms.splice(rooms.indexOf(room), 1); room = known; }
	if (place.kind === 'welcome') welcomed(place);
	Object.assign(room, { name: place.room, here: true, isOver: '' });
	if (room.id !== place.room_id) {
		const read = Math.max(place.mark, (remember(localStorage, 'read') ?? {})[place.room_id] ?? 0);
		Object.assign(room, { id: place.room_id, end: place.last, low: place.last + 1, high: place.last, messages: [], atStart: false, unread: 0, read,
			line: read && read < place.last ? read : null });
		loadOlder(room);
	}
	who(room);
	flush();
	saveRooms();
	refresh('log', 'rooms', 'head', 'state');
}

function welcomed(place) {
	Object.assign(wire, { on: true, tries: 0, deadline: 0, slow: false });
	setName(place.participant);
	for (const room of rooms) if (room !== wire.first && !room.isOver && !room.here) queueMicrotask(() => enter(room));
	queueMicrotask(() => { listRooms(); adopt(); });
	if (me.wasOff) announce('Connected again.');
	me.wasOff = false;
}

async function enter(room) {
	if (!wire.on || room.entering) return;
	room.entering = true;
	const request = { op: 'join', room: room.stranger ? room.id : room.name, history: 'none' };
	if (room.id) Object.assign(request, { after: room.end, room_id: room.id });
	const answer = ask(request);
	wire.asks.at(-1).room = room;
	const { error } = await answer;
	room.entering = false;
	if (error && error.code !== 'offline') {
		room.isOver = error.text;
		for (const line of [...room.pending]) if (line.state === 'pending') refused(line, error.text);
	}
	refresh('rooms', 'head', 'log');
}

// ---- Rooms: what was heard ----

const rooms = [];
const listed = new Map(); // rooms we are not in: name -> {people, topic}

function roomNamed(name, makes) {
	const key = keyOf(name);
	let room = rooms.find(({ name, id }) => keyOf(name) === key || id === key);
	if (!room && makes) {
		room = { name, id: '', here: false, isOver: '', stranger: false, end: 0, low: 1, high: 0, read: 0, line: null, unread: 0, called: 0, topic: '', draft: '',
			messages: [], pending: [], people: new Map(), more: 0, atStart: false, loading: false, at: null };
		rooms.push(room);
	}
	return room;
}

const firstRoom = () => [view.room, ...rooms].find(room => room && !room.isOver && !room.stranger) ?? roomNamed('lobby', true);
const labelOf = room => (room.stranger ? (room.people.size > 1 || room.met ? 'Stranger' : 'Waiting …') : room.name);
const saveRooms = () => remember(sessionStorage, 'rooms', rooms.filter(room => !room.isOver && !room.stranger).map(room => room.name));

let keys = 0;

function entryOf(event) {
	const { seq, kind, participant: who, text } = event;
	const entry = { key: 'k' + ++keys, seq, n: seq, at: Date.parse(event.at), kind, who, text, version: 0 };
	if (kind === 'joined' || kind === 'left') Object.assign(entry, { kind: 'presence', crowd: new Map([[who, kind]]) });
	return entry;
}

// Comings and goings that follow each other are one entry.
function push(room, entry) {
	const last = room.messages.at(-1);
	if (entry.kind === 'presence' && last?.kind === 'presence' && entry.at - last.at < 36e5) {
		for (const [who, kind] of entry.crowd) { last.crowd.delete(who); last.crowd.set(who, kind); }
		last.n = last.seq = entry.seq;
		last.version++;
		return;
	}
	room.messages.push(entry);
	if (room.messages.length <= CAP) return;
	const gone = room.messages.splice(0, STEP);
	room.low = room.messages[0].n;
	room.atStart = false;
	if (view.room === room) { view.from = Math.max(0, view.from - gone.length); view.to -= gone.length; }
}

// Something was said or done in a room, now, or since we were last connected.
function happened(room, event) {
	if (event.seq <= room.end) return;
	const attached = room.high === room.end && (room.messages.length < CAP || view.room !== room || view.stick);
	const entry = entryOf(event), said = entry.kind === 'message' || entry.kind === 'action';
	const mine = isMine(entry.who);
	room.end = event.seq;
	if (attached) { room.high = event.seq; push(room, entry); }
	if (mine && said) echoed(room, entry);
	crowdChanges(room, event);
	if (event.kind === 'topic') room.topic = event.text;
	if (event.kind === 'room_closed') closed(room, event);
	if (said && !mine) {
		const called = mentions(entry.text);
		if (!isRead(room)) {
			if (room.unread++ === 0) room.line = event.seq - 1;
			if (called) room.called++;
		}
		alarm(room, entry.who, entry.text, called);
	}
	refresh('log', 'rooms', 'head');
}

function crowdChanges(room, { kind, participant, text }) {
	if (kind === 'joined') { room.people.set(keyOf(participant), participant); room.met = true; }
	else if (kind === 'left') room.people.delete(keyOf(participant));
	else if (kind === 'nick') {
		room.people.delete(keyOf(participant));
		room.people.set(keyOf(text), text);
		if (isMine(participant)) setName(text);
	} else return;
	refresh('people');
}

function closed(room, event) {
	if (!room) return;
	room.isOver = room.stranger ? 'The stranger has left.' : `${event.participant ?? 'Somebody'} has closed this room.`;
	room.here = false;
	room.people.clear();
	for (const line of [...room.pending]) if (line.state === 'pending') refused(line, 'the room is closed');
	saveRooms();
	refresh('log', 'rooms', 'people', 'head');
}

// A line of the page's own, which nobody else sees.
function note(room, entry) {
	push(room, { key: 'k' + ++keys, n: room.high, at: Date.now(), version: 0, ...entry });
	announce(entry.who ? `${entry.who}: ${entry.text}` : entry.text);
	refresh('log');
}

// What was said: an answer to "history", as entries. The server stops at 1 MiB, at the wrong end: then fewer are asked for.
async function recall(room, before, count) {
	const { events, error } = await ask({ op: 'history', room: room.stranger ? room.id : room.name, before, count });
	const said = events.filter(event => event.seq !== undefined);
	if (error) return null;
	if (count > 1 && said.reduce((sum, { text }) => sum + text.length, 0) > 300000 && said.length < count) return recall(room, before, count >> 2);
	return { entries: said.map(entryOf), isAll: said.length < count };
}

async function loadOlder(room) {
	if (room.loading || room.atStart || !room.here) return;
	const { id } = room;
	room.loading = true;
	refresh('log');
	const found = await recall(room, room.low, PAGE);
	room.loading = false;
	if (!found || room.id !== id) return refresh('log');
	const older = found.entries.filter(({ seq }) => seq < room.low);
	if (room.high < room.low) room.high = room.low - 1;
	room.messages.unshift(...older);
	room.low = older[0]?.n ?? 1;
	room.atStart = found.isAll;
	if (view.room === room && !view.stick) { view.from += older.length; view.to += older.length; }
	for (const entry of older) if (entry.kind === 'topic') room.topic ||= entry.text;
	if (room.line !== null && room.unread === 0) countUnread(room);
	refresh('log', 'head', 'rooms');
}

// After coming into a room: how much is new there.
function countUnread(room) {
	const fresh = room.messages.filter(({ n, who }) => n > room.line && who && !isMine(who));
	room.unread = fresh.length;
	if (!fresh.length) room.line = null;
}

async function loadNewer(room) {
	if (room.loading || room.high >= room.end || !room.here) return;
	const top = Math.min(room.end, room.high + PAGE);
	room.loading = true;
	const found = await recall(room, top + 1, PAGE);
	room.loading = false;
	if (!found) return;
	for (const entry of found.entries) if (entry.seq > room.high) room.messages.push(entry);
	room.high = top;
	refresh('log');
}

// Shows a message of long ago, and what was around it.
async function goTo(room, seq) {
	show(room);
	if (!room.here) await enter(room);
	if (seq < room.low || seq > room.high) {
		const found = await recall(room, Math.min(room.end, seq + PAGE / 2) + 1, PAGE);
		if (!found) return;
		Object.assign(room, { messages: found.entries, low: found.entries[0]?.n ?? 1, high: Math.min(room.end, seq + PAGE / 2), atStart: found.isAll });
	}
	const index = Math.max(0, room.messages.findIndex(({ n }) => n >= seq));
	Object.assign(view, { stick: false, from: Math.max(0, index - WINDOW / 2), to: index + WINDOW / 2 });
	drawLog();
	const row = rows.get(room.messages[index]?.key);
	row?.scrollIntoView({ block: 'center' });
	row?.classList.add('flash');
	row?.focus({ preventScroll: true });
}

function toNewest() {
	const room = view.room;
	view.stick = true;
	if (room.high < room.end) {
		Object.assign(room, { messages: [], low: room.end + 1, high: room.end, atStart: false });
		loadOlder(room);
	}
	refresh('log');
}

async function who(room) {
	const { events, error } = await ask({ op: 'who', room: room.stranger ? room.id : room.name });
	const found = /^(\d+) [^:]*: (.*?)(?:, and (\d+) more)?$/.exec(error ? '' : events[0]?.text ?? '');
	if (!found) return;
	room.people = new Map(found[2].split(', ').map(name => [keyOf(name), name]));
	room.more = Number(found[3] ?? 0);
	if (room.stranger) room.met ||= room.people.size > 1;
	refresh('people', 'rooms', 'head');
}

async function listRooms() {
	const { events, error } = await ask({ op: 'rooms' });
	if (error) return;
	listed.clear();
	for (const { room, text } of events) {
		const found = room && /^ \((\d+)\)(?: - (.*))?$/s.exec(text.slice(room.length));
		if (!found) continue;
		listed.set(room, { people: Number(found[1]), topic: found[2] ?? '' });
		const ours = roomNamed(room);
		if (ours) ours.topic = found[2] ?? '';
	}
	refresh('rooms', 'head');
}

async function openRoom(name) {
	const room = roomNamed(name, true);
	if (room.isOver && !room.stranger) room.isOver = '';
	show(room);
	if (!room.here && wire.on) await enter(room);
}

async function meetStranger() {
	const answer = await ask({ op: 'join' }, event => {
		if (event.code !== 'room') return;
		const room = roomNamed(event.room, true);
		Object.assign(room, { stranger: true, met: /met/.test(event.text) });
		show(room);
		who(room);
	});
	if (answer.error) note(view.room, { kind: 'note', text: answer.error.text, bad: true });
}

async function leaveRoom(room) {
	if (room.here) await ask({ op: 'leave', room: room.stranger ? room.id : room.name });
	if (!room.pending.length || room.isOver) rooms.splice(rooms.indexOf(room), 1);
	saveRooms();
	if (view.room === room) show(firstRoom());
	if (!view.room.here && wire.on) enter(view.room);
	listRooms();
}

// ---- What I say ----

let adding = Promise.resolve();

function say(room, text, action = false) {
	const line = { session: me.session, name: baseOf(me.name), number: 0, room: room.stranger ? room.id : room.name, text, action, at: Date.now() };
	const entry = pend(room, line);
	room.line = null;
	adding = adding.then(() => store.add(line)).then(() => {
		if (line.session !== me.session && !held.has(line.session)) { takeSession(line.session); claim(line.session); }
		entry.number = line.number;
		entry.session = line.session;
		entry.ready = true;
		flush();
	}, fault => refused(entry, 'this browser could not keep it: ' + fault?.message));
	view.stick || toNewest();
	return adding;
}

// A line that is to be said, as the room shows it.
function pend(room, line) {
	const entry = { key: 'p' + ++keys, n: Infinity, at: line.at, kind: line.action ? 'action' : 'message', who: me.name, text: line.text.replace(/\r\n?|\n/g, '\u2424'),
		version: 0, state: 'pending', line, room, session: line.session, number: line.number, ready: line.number > 0, sent: false, reason: '' };
	if (line.refused) Object.assign(entry, { state: 'refused', reason: line.refused });
	room.pending.push(entry);
	refresh('log');
	return entry;
}

const waiting = () => rooms.flatMap(room => room.pending).filter(({ ready, state }) => ready && state === 'pending');

// Sends what waits, in the order of the numbers; when all of one session is said, goes on with that of another.
function flush() {
	if (!wire.on || wire.turning) return;
	const lines = waiting();
	const ours = lines.filter(({ session }) => session === wire.session).sort((left, right) => left.number - right.number);
	for (const entry of ours) {
		if (entry.sent || !entry.room.here) continue;
		entry.sent = true;
		send({ op: 'send', room: entry.line.room, text: entry.line.text, id: entry.number, ...(entry.line.action ? { action: true } : {}) });
	}
	if (ours.some(({ sent }) => sent)) return;
	const next = lines.find(({ session, room }) => session !== wire.session && room.here)?.session ?? me.session;
	if (next !== wire.session) turn(next);
}

async function turn(session) {
	wire.turning = true;
	const { error } = await ask({ op: 'session', session });
	wire.turning = false;
	if (!error) { wire.session = session; flush(); }
}

function answered(event) {
	const entry = waiting().find(({ session, number }) => session === wire.session && number === event.id);
	if (!entry) return;
	if (event.kind === 'error') refused(entry, event.text);
	else if (event.code === 'said') {
		store.forget(entry.line);
		entry.state = 'said';
		entry.seq = event.seq;
		if (entry.room.end >= event.seq) remove(entry);
	}
	entry.version++;
	refresh('log');
	flush();
}

// Our own words have come back.
function echoed(room, { text, seq, kind }) {
	const entry = room.pending.find(line => line.seq === seq) ?? room.pending.find(line => line.sent && line.state === 'pending' && line.text === text && line.kind === kind);
	if (!entry) return;
	if (entry.state === 'said') remove(entry);
	else { entry.state = 'pending'; entry.hidden = true; } // until the answer tells that it is the one
}

function remove(entry) {
	const list = entry.room.pending;
	if (list.includes(entry)) list.splice(list.indexOf(entry), 1);
	refresh('log');
}

function refused(entry, reason) {
	Object.assign(entry, { state: 'refused', reason, hidden: false, sent: false });
	entry.version++;
	if (entry.number) store.keep({ ...entry.line, refused: reason });
	announce('Not said: ' + reason);
	refresh('log');
}

function refuseLargest(reason) {
	const sent = waiting().filter(entry => entry.sent).sort((left, right) => right.text.length - left.text.length);
	if (sent[0]) refused(sent[0], reason);
}

function sayAgain(entry) {
	const { refused: _, ...line } = entry.line;
	entry.line = line;
	Object.assign(entry, { state: 'pending', sent: false, reason: '' });
	entry.version++;
	if (entry.number) store.keep(line);
	if (!entry.room.here && !entry.room.stranger) openRoom(entry.room.name);
	flush();
	refresh('log');
}

// Takes over what tabs that are gone left unsaid, and clears away sessions that nobody needs.
async function adopt() {
	await adding;
	const [sessions, lines] = [await store.all('sessions'), await store.all('lines')];
	for (const { id, name } of sessions) {
		const left = lines.filter(({ session }) => session === id);
		if (left.length && keyOf(name) !== keyOf(baseOf(me.name)) && id !== me.session) continue;
		if (held.has(id) && rooms.some(room => room.pending.some(entry => entry.session === id))) continue;
		if (!held.has(id) && !await claim(id)) continue;
		for (const line of left) adoptLine(line);
		if (left.length || id === me.session) continue;
		await store.run(({ remove }) => remove('sessions', id));
		release(id);
	}
	flush();
}

function adoptLine(line) {
	if (Date.now() - line.at > 0.8 * DAY_MS) line.refused ??= 'it is of an earlier day, and may have been said; send it again only if it is missing';
	const room = roomNamed(line.room, true);
	if (room.pending.some(entry => entry.session === line.session && entry.number === line.number)) return;
	pend(room, line);
	if (!room.here) enter(room);
}

// ---- Telling people: title, notifications, screen readers ----

const attentive = () => document.visibilityState === 'visible' && document.hasFocus();
const isRead = room => attentive() && view.room === room && view.stick;

let told = [], tellTimer = 0;

function announce(text) {
	$('tell').textContent = text;
}

// A few messages are read out; of many, that there are many.
function tellSoon(entry) {
	told.push(entry);
	tellTimer ||= setTimeout(() => {
		const names = [...new Set(told.map(({ who }) => who))];
		const many = told.length > LOUD;
		announce(many ? `${told.length} new messages from ${names.slice(0, 3).join(', ')}${names.length > 3 ? ' and others' : ''}`
			: told.map(({ who, text }) => `${who}: ${text.slice(0, 300)}`).join('. '));
		told = [];
		tellTimer = 0;
		if (many) tellTimer = setTimeout(() => { tellTimer = 0; const entry = told.pop(); if (entry) tellSoon(entry); }, 5000);
	}, 700);
}

function alarm(room, who, text, called) {
	called ||= room.stranger;
	if (view.room === room || called) tellSoon({ who, text });
	if (!called || attentive() || !me.notify || !('Notification' in window)) return;
	try {
		const notification = new Notification(`${who} in ${labelOf(room)}`, { body: text.slice(0, 200), tag: room.id });
		notification.onclick = () => { focus(); show(room); notification.close(); };
	} catch { /* some phones have them for service workers alone */ }
}

async function toggleBell() {
	if (!('Notification' in window) || !isSecureContext) return note(view.room, { kind: 'note', text: 'This browser shows notifications only for pages that came over https.', bad: true });
	me.notify = !me.notify && await Notification.requestPermission() === 'granted';
	remember(localStorage, 'notify', me.notify);
	drawBell();
	announce(me.notify ? 'You are notified when somebody mentions you.' : Notification.permission === 'denied' ? 'This browser does not allow notifications here.' : 'No notifications.');
}

function drawBell() {
	$('bell').setAttribute('aria-pressed', String(!!me.notify));
	$('bell').title = me.notify ? 'You are notified of mentions' : 'Notify me when somebody mentions me';
}

function drawTitle() {
	const count = rooms.reduce((sum, room) => sum + room.unread, 0);
	const title = `${count ? `(${count}) ` : ''}${view.room ? labelOf(view.room) : ''} · tcpchat`;
	if (document.title !== title) document.title = title;
}

let marks = new Map(), markTimer = 0;

// What is seen is read; the server is told, at most every two seconds.
function markRead(room = view.room) {
	if (!room || !isRead(room) || (room.read >= room.end && !room.unread)) return;
	room.unread = room.called = 0;
	room.read = room.end;
	refresh('rooms');
	marks.set(room, room.end);
	markTimer ||= setTimeout(() => {
		const read = remember(localStorage, 'read') ?? {};
		for (const [{ id, name, here }, seq] of marks) {
			if (here && id) send({ op: 'mark', room: name, seq, id: 'mark' });
			delete read[id];
			read[id] = seq;
		}
		remember(localStorage, 'read', Object.fromEntries(Object.entries(read).slice(-200)));
		marks.clear();
		markTimer = 0;
	}, 2000);
}

// ---- The log ----

const log = $('log');
const view = { room: null, from: 0, to: 0, stick: true };
let rows = new Map();

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const dayName = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const yearName = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' });
const dayOf = at => { const date = new Date(at); return date.getFullYear() * 400 + date.getMonth() * 32 + date.getDate(); };

function dayTitle(at) {
	const day = dayOf(at), now = Date.now();
	if (day === dayOf(now)) return 'Today';
	if (day === dayOf(now - DAY_MS)) return 'Yesterday';
	return (now - at < 300 * DAY_MS ? dayName : yearName).format(at);
}

function hueOf(name) {
	let hash = 2166136261;
	for (const letter of keyOf(name)) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
	return (hash >>> 0) % 360;
}

function paintAvatar(element, name) {
	const words = baseOf(name).split(/[ ._-]+/).filter(Boolean);
	const letters = words.length > 1 ? [...words[0]][0] + [...words[1]][0] : [...baseOf(name)].slice(0, 2).join('');
	element.textContent = letters.toUpperCase();
	element.style.setProperty('--hue', hueOf(name));
	return element;
}

function whoOf(name, tag = 'bdi') {
	const element = make(tag, 'who', name);
	element.style.setProperty('--hue', hueOf(name));
	return element;
}

const LINK = /\bhttps?:\/\/[^\s<>"'`\u2424\u200e\u200f\u202a-\u202e\u2066-\u2069]+/giu;

// Where a link ends: not with the sentence's own marks, nor with a bracket that was opened before it.
function trimLink(link) {
	for (;;) {
		const last = link.at(-1);
		const opener = { ')': '(', ']': '[', '}': '{' }[last];
		if (!('.,;:!?*_~…'.includes(last) || opener && link.split(last).length > link.split(opener).length)) return link;
		link = link.slice(0, -1);
	}
}

function fillMentions(element, text) {
	let at = 0;
	for (const { 0: name, index } of text.matchAll(me.mention)) {
		if (index > at) element.append(make('span', '', text.slice(at, index)));
		element.append(make('mark', '', name));
		at = index + name.length;
	}
	if (at < text.length) element.append(make('span', '', text.slice(at)));
}

function fillText(element, text) {
	const shown = text.replaceAll('\u2424', '\n'), links = shown.match(LINK);
	if (!links && !mentions(shown)) { element.textContent = shown; return element; }
	let at = 0;
	for (const { 0: found, index } of shown.matchAll(LINK)) {
		const link = trimLink(found);
		if (!URL.canParse(link)) continue;
		fillMentions(element, shown.slice(at, index));
		const anchor = make('a', '', link);
		anchor.href = new URL(link).href;
		anchor.rel = 'noopener noreferrer nofollow';
		anchor.target = '_blank';
		element.append(anchor);
		at = index + link.length;
	}
	fillMentions(element, shown.slice(at));
	return element;
}

function timeOf(at, name) {
	const element = make('time', name, clock.format(at));
	element.dateTime = new Date(at).toISOString();
	element.title = full.format(at);
	return element;
}

function presenceText(crowd) {
	const all = [...crowd].reverse();
	const words = (kind, verb) => {
		const names = all.filter(([, done]) => done === kind).map(([name]) => name);
		const shown = names.slice(0, 6).join(', ') + (names.length > 6 ? ` and ${names.length - 6} more` : '');
		return names.length ? [`${shown} ${verb}`] : [];
	};
	return [...words('joined', 'came'), ...words('left', 'left')].join(' · ');
}

const ASIDES = {
	presence: ({ crowd }) => presenceText(crowd),
	nick: ({ who, text }) => `${who} is now ${text}`,
	topic: ({ who, text }) => (text ? `${who} set the topic: ${text}` : `${who} removed the topic`),
	room_closed: ({ who }) => `${who ?? 'Somebody'} closed this room`,
	note: ({ text }) => text,
	invitation: ({ text }) => text,
};

function rowOf(entry, before) {
	const said = entry.kind === 'message' || entry.kind === 'direct';
	const first = !before || before.kind !== entry.kind || before.who !== entry.who || entry.at - before.at > 3e5 || entry.kind === 'direct';
	const shape = [first, entry.state, entry.version, entry.hidden, me.version].join();
	let row = rows.get(entry.key);
	if (row?.shape === shape) return row;
	row = make('article', 'row');
	Object.assign(row, { key: entry.key, shape, tabIndex: -1, hidden: !!entry.hidden });
	if (entry.seq) row.dataset.seq = entry.seq;
	if (ASIDES[entry.kind]) return fillAside(row, entry);
	row.classList.toggle('first', said && first);
	row.classList.toggle('own', isMine(entry.who));
	if (entry.state) row.classList.add(entry.state);
	if (!isMine(entry.who) && mentions(entry.text)) row.classList.add('called');
	if (said && first) {
		const avatar = paintAvatar(make('span', 'avatar'), entry.who), head = make('div', 'who-line');
		avatar.setAttribute('aria-hidden', 'true');
		head.append(whoOf(entry.who), timeOf(entry.at));
		if (entry.kind === 'direct') head.append(make('span', 'private', isMine(entry.who) ? `to ${entry.to} alone` : 'to you alone'));
		row.append(avatar, head);
	} else {
		row.append(timeOf(entry.at, 'side'));
		if (said) row.append(make('span', 'sr', entry.who + ': '));
	}
	const text = fillText(make('div', 'text'), entry.text);
	text.dir = 'auto';
	if (entry.kind === 'action') { row.classList.add('action'); const line = make('div', 'does'); line.append(whoOf(entry.who), text); row.append(line); } else row.append(text);
	if (entry.state === 'refused') row.append(fateOf(entry));
	else if (entry.state === 'pending') row.append(make('span', 'fate', wire.on ? 'sending' : 'waits'));
	return row;
}

function fillAside(row, entry) {
	row.classList.add('aside', ...(entry.bad ? ['bad'] : []));
	const text = make('div', 'text', ASIDES[entry.kind](entry));
	text.dir = 'auto';
	row.append(text);
	if (entry.kind === 'invitation') row.append(button('Go there', () => openRoom(entry.room)));
	row.append(timeOf(entry.at, 'side'));
	return row;
}

function button(text, does) {
	const element = make('button', 'text', text);
	element.type = 'button';
	element.onclick = does;
	return element;
}

function fateOf(entry) {
	const fate = make('div', 'why');
	fate.append(make('span', '', `Not said: ${entry.reason}`), button('Send again', () => sayAgain(entry)),
		button('Remove', () => { if (entry.number) store.forget(entry.line); remove(entry); $('draft').focus(); }));
	return fate;
}

function separator(key, name, text) {
	const row = rows.get(key) ?? make('div', name);
	row.key = key;
	if (!row.firstChild) row.append(make('span', '', text));
	return row;
}

const entryAt = (room, index) => room.messages[index] ?? room.pending[index - room.messages.length];

function drawLog() {
	const room = view.room;
	if (!room) return;
	const total = room.messages.length + room.pending.length;
	if (view.stick) { view.from = Math.max(0, total - WINDOW); view.to = total; }
	view.to = Math.min(total, Math.max(view.to, view.from + STEP));
	const anchor = view.stick ? null : anchorNow(), wanted = [];
	if (view.from === 0) wanted.push(room.loading ? separator('loading', 'begin', 'Loading …') : separator('begin', 'begin', room.atStart ? 'This is where it begins.' : ''));
	for (let index = view.from; index < view.to; index++) {
		const entry = entryAt(room, index), before = index > 0 ? entryAt(room, index - 1) : null;
		const newDay = !before || dayOf(before.at) !== dayOf(entry.at), isLine = room.line !== null && entry.n > room.line && !(before?.n > room.line);
		if (newDay) wanted.push(separator('day ' + dayTitle(entry.at) + dayOf(entry.at), 'day', dayTitle(entry.at)));
		if (isLine) wanted.push(separator('line', 'line', 'New messages'));
		wanted.push(rowOf(entry, newDay || isLine ? null : before));
	}
	replaceRows(wanted);
	if (view.stick) log.scrollTop = log.scrollHeight;
	else if (anchor?.row.isConnected) log.scrollTop += anchor.row.offsetTop - anchor.top;
	drawEdges(room, total);
}

// The children become those that are wanted; those that stay are not touched.
function replaceRows(wanted) {
	const keep = new Set(wanted), focused = log.contains(document.activeElement) && document.activeElement !== log;
	for (const row of [...log.children]) if (!keep.has(row)) row.remove();
	let next = log.firstElementChild;
	for (const row of wanted) {
		if (row === next) next = next.nextElementSibling;
		else log.insertBefore(row, next);
	}
	rows = new Map(wanted.map(row => [row.key, row]));
	if (focused && !log.contains(document.activeElement)) log.focus({ preventScroll: true });
}

// The first row that is seen, and where it is; it is to stay there.
function anchorNow() {
	const list = log.children;
	let low = 0, high = list.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (list[middle].offsetTop + list[middle].offsetHeight > log.scrollTop) high = middle; else low = middle + 1;
	}
	while (low < list.length && !list[low].classList.contains('row')) low++;
	return low < list.length ? { row: list[low], top: list[low].offsetTop } : null;
}

function drawEdges(room, total) {
	$('jump').hidden = view.stick;
	$('jump-words').textContent = room.unread ? plural(room.unread, 'new message') : 'Newest';
	const empty = total === 0 && !room.loading && (room.atStart || room.isOver !== '');
	$('empty').hidden = !empty;
	if (empty) {
		$('empty-title').textContent = room.stranger ? (room.met ? 'You met a stranger' : 'Waiting for a stranger') : room.isOver ? 'Not here' : 'It is quiet here';
		$('empty-words').textContent = room.isOver || (room.stranger ? (room.met ? 'Say hello.' : 'Somebody else has to press the same button.') : 'Say something; everybody who comes will see it.');
	}
	log.classList.toggle('bare', empty);
	markRead(room);
}

let scrolling = false;

function scrolled() {
	scrolling = false;
	const room = view.room, total = room.messages.length + room.pending.length;
	const gap = log.scrollHeight - log.scrollTop - log.clientHeight, near = Math.max(600, log.clientHeight);
	const stuck = view.stick;
	view.stick = view.to >= total && room.high >= room.end && gap < 40;
	if (log.scrollTop < near && view.from > 0 && !view.stick) {
		view.from = Math.max(0, view.from - STEP);
		view.to = Math.min(view.to, view.from + WINDOW);
		drawLog();
	} else if (gap < near && view.to < total) {
		const anchor = view.to;
		view.to = Math.min(total, anchor + STEP);
		drawLog();
		view.from = Math.max(view.from, view.to - WINDOW);
		drawLog();
	} else if (gap < near && room.high < room.end) loadNewer(room);
	if (log.scrollTop < near && view.from === 0) loadOlder(room);
	if (stuck !== view.stick) drawEdges(room, total);
	markRead();
}

// ---- The lists ----

function drawRooms() {
	const items = rooms.map(room => roomItem(room, true));
	$('yours').replaceChildren(...items);
	const others = [...listed].filter(([name]) => !roomNamed(name)).sort(([left, { people: a }], [right, { people: b }]) => b - a || left.localeCompare(right));
	$('others').replaceChildren(...others.map(([name, { people, topic }]) => roomItem({ name, unread: 0, called: 0, count: people, topic }, false)));
	$('no-others').hidden = others.length > 0;
	$('menu-dot').hidden = !rooms.some(room => room !== view.room && room.unread);
	roveIn($('yours'));
	roveIn($('others'));
	drawTitle();
}

function roomItem(room, ours) {
	const item = make('li'), link = make('a', 'room');
	link.href = '/r/' + encodeURIComponent(room.name);
	link.onclick = event => {
		if (event.metaKey || event.ctrlKey || event.shiftKey) return;
		event.preventDefault();
		shut(true);
		if (ours) show(room); else openRoom(room.name);
		if (!matchMedia('(pointer: coarse)').matches) $('draft').focus();
	};
	const label = make('bdi', 'name', ours ? labelOf(room) : room.name);
	link.append(make('span', 'sign', room.stranger ? '?' : '#'), label);
	link.firstChild.setAttribute('aria-hidden', 'true');
	if (room.unread) {
		link.classList.add('fresh');
		const badge = make('span', room.called ? 'badge called' : 'badge', room.unread > 999 ? '999+' : String(room.unread));
		badge.append(make('span', 'sr', room.called ? ' new, you were mentioned' : ' new'));
		link.append(badge);
	} else if (room.count !== undefined) {
		const people = make('span', 'number', String(room.count));
		people.append(make('span', 'sr', room.count === 1 ? ' person' : ' people'));
		link.append(people);
	}
	if (room === view.room) link.setAttribute('aria-current', 'page');
	if (room.isOver) link.classList.add('over');
	item.append(link);
	if (ours && rooms.length > 1) {
		const close = button('×', () => leaveRoom(room));
		close.className = 'leave';
		close.setAttribute('aria-label', `Leave ${labelOf(room)}`);
		item.append(close);
	}
	return item;
}

const people = { last: '' };

function drawPeople() {
	const room = view.room, list = $('people-list');
	if (!room) return;
	const names = [...room.people.values()].sort((left, right) => isMine(right) - isMine(left) || left.localeCompare(right));
	const items = names.slice(0, 200).map(name => {
		const item = make('li'), person = button('', () => mention(name));
		person.className = 'person';
		const avatar = paintAvatar(make('span', 'avatar small'), name);
		avatar.setAttribute('aria-hidden', 'true');
		person.append(avatar, make('bdi', 'name', name));
		if (isMine(name)) person.append(make('span', 'you', 'you'));
		person.title = 'Mention ' + name;
		item.append(person);
		return item;
	});
	const more = room.more + Math.max(0, names.length - 200);
	if (more) items.push(make('li', 'quiet', `and ${more} more`));
	list.replaceChildren(...items);
	roveIn(list);
	const count = names.length + room.more;
	$('crowd-count').textContent = count || '';
	$('crowd').setAttribute('aria-label', `People, ${count} here`);
	$('people-title').textContent = count ? `People · ${count}` : 'People';
}

// One stop for Tab in a list; the arrow keys go through it.
function roveIn(list) {
	const stops = [...list.querySelectorAll('a, button.person')];
	const current = stops.find(stop => stop.hasAttribute('aria-current')) ?? stops[0];
	for (const stop of stops) stop.tabIndex = stop === current ? 0 : -1;
}

function rove(event) {
	const stops = [...event.currentTarget.querySelectorAll('a, button.person')];
	const at = stops.indexOf(document.activeElement);
	const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
	if (at < 0 || to === undefined || !stops[to]) return;
	event.preventDefault();
	for (const stop of stops) stop.tabIndex = -1;
	stops[to].tabIndex = 0;
	stops[to].focus();
}

function drawHead() {
	const room = view.room;
	if (!room) return;
	$('room-name').textContent = labelOf(room);
	$('topic').textContent = room.stranger ? (room.met ? 'Only the two of you see this.' : 'Nobody yet.') : room.topic;
	const closed = room.isOver !== '';
	$('draft').disabled = $('send').disabled = closed;
	$('draft').placeholder = closed ? room.isOver : `Message ${room.stranger ? 'the stranger' : room.name}`;
	$('draft-label').textContent = `Message ${labelOf(room)}`;
	drawTitle();
}

function drawState() {
	const banner = $('banner'), off = !wire.on;
	const waits = rooms.reduce((sum, room) => sum + room.pending.filter(({ state }) => state === 'pending').length, 0);
	const soon = Math.ceil((wire.due - Date.now()) / 1000);
	let text = 'Connecting …';
	if (wire.stopped) text = wire.stopped;
	else if (me.wasOn) text = wire.slow ? 'The server is going down for a moment' : navigator.onLine ? 'The connection is lost' : 'You are offline';
	if (off && me.wasOn && !wire.stopped) text += wire.socket ? '; connecting …' : soon > 1 ? `; next try in ${soon} s.` : '; trying again …';
	if (off && waits) text += ` ${plural(waits, 'message')} will be said then.`;
	if ($('banner-words').textContent !== text) $('banner-words').textContent = text;
	$('banner-button').textContent = wire.stopped ? 'Come back' : 'Try now';
	$('banner-button').hidden = !wire.stopped && (wire.socket !== null || soon < 2);
	banner.hidden = !off || !me.name || !me.wasOn && !wire.stopped && !me.waited;
	banner.classList.toggle('stopped', wire.stopped !== '');
	$('me-state').textContent = wire.stopped ? 'away' : wire.on ? 'connected' : 'connecting …';
	$('app').classList.toggle('off', off);
	if (wire.on) me.wasOn = true;
	else if (me.wasOn && !me.wasOff) { me.wasOff = true; announce('The connection is lost. What you write is said when it is back.'); }
}

// ---- Drawing, once a frame ----

const DRAW = { rooms: drawRooms, people: drawPeople, head: drawHead, state: drawState, log: drawLog };
const stale = new Set();

function refresh(...parts) {
	if (!stale.size) (document.visibilityState === 'visible' ? requestAnimationFrame : later => setTimeout(later, 250))(draw);
	for (const part of parts) stale.add(part);
}

function draw() {
	const parts = [...stale];
	stale.clear();
	for (const part of parts) DRAW[part]();
	if (parts.includes('log')) drawTitle();
	if (parts.includes('log') && view.room && !scrolling) { scrolling = true; requestAnimationFrame(scrolled); }
}

function show(room, replace) {
	const old = view.room;
	if (old && old !== room) {
		old.draft = $('draft').value;
		if (!old.unread) old.line = null;
	}
	if (old !== room) {
		$('draft').value = room.draft;
		rows = new Map();
		log.replaceChildren();
		Object.assign(view, { room, from: 0, to: 0, stick: true });
		fault('');
	}
	const path = '/r/' + encodeURIComponent(room.name) + location.search;
	if (path !== location.pathname + location.search) history[replace || !old ? 'replaceState' : 'pushState'](null, '', path);
	if (room.high < room.end && view.stick) toNewest();
	for (const part of Object.keys(DRAW)) stale.delete(part);
	refresh(...Object.keys(DRAW));
}

// ---- The composer ----

const draft = $('draft');
const grows = CSS.supports('field-sizing', 'content');
const fault = text => { $('draft-fault').textContent = text; };

function fit() {
	if (grows) return;
	draft.style.height = 'auto';
	draft.style.height = Math.min(draft.scrollHeight, 200) + 'px';
}

function setDraft(text) {
	draft.value = text;
	fit();
}

function mention(name) {
	const { selectionStart: at, value } = draft;
	const space = at > 0 && !/\s$/.test(value.slice(0, at)) ? ' ' : '';
	draft.setRangeText(`${space}@${name} `, at, draft.selectionEnd, 'end');
	shut(true);
	draft.focus();
}

// Tab behind "@an" completes the name; again, another one.
function complete() {
	const before = draft.value.slice(0, draft.selectionStart), found = /(^|\s)@(\S*)$/.exec(before);
	if (!found || draft.selectionStart !== draft.selectionEnd) return false;
	const names = [...view.room.people.values()].filter(name => !isMine(name) && keyOf(name).startsWith(keyOf(found[2])));
	if (!names.length) return false;
	draft.setRangeText(names[0] + ' ', before.length - found[2].length, before.length, 'end');
	return true;
}

const COMMANDS = {
	me: text => say(view.room, text, true),
	msg: text => say(view.room, text),
	join: text => (text ? openRoom(text.replace(/^"|"$/g, '')) : meetStranger()),
	leave: () => leaveRoom(view.room),
	search: text => openSearch(text),
	events: () => fault('This page is in event mode already.'),
	session: () => fault('This page has a session already.'),
};

function command(text) {
	const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(text);
	if (COMMANDS[name]) return COMMANDS[name](rest);
	if (!wire.on) return fault('Commands need a connection; there is none now.');
	send({ op: 'switch', room: view.room.stranger ? view.room.id : view.room.name, id: 'switch' });
	send(text.replace(/\s*\n\s*/g, ' '));
}

async function submit() {
	const text = draft.value.replace(/\s+$/, '');
	if (!text || !view.room || view.room.isOver) return;
	const size = new TextEncoder().encode(JSON.stringify(text)).length;
	if (size > LINE_BYTES_MAX) return fault(`This is too long: ${size.toLocaleString()} bytes, and ${LINE_BYTES_MAX.toLocaleString()} fit into one message.`);
	const lines = text.split('\n').length;
	if (lines >= PASTE_LINES && !await confirmPaste(text, lines)) return draft.focus();
	fault('');
	setDraft('');
	if (text.startsWith('/') && !text.startsWith('//')) command(text);
	else say(view.room, text.replace(/^\/\//, '/'));
	draft.focus();
}

function confirmPaste(text, lines) {
	const guard = $('guard');
	$('guard-title').textContent = `Send ${lines} lines to ${labelOf(view.room)}?`;
	$('guard-text').textContent = text.slice(0, 4000);
	guard.returnValue = 'no';
	guard.showModal();
	$('guard-yes').focus();
	return new Promise(resolve => { guard.onclose = () => resolve(guard.returnValue === 'yes'); });
}

function keyInDraft(event) {
	if (event.isComposing || event.keyCode === 229) return;
	if (event.key === 'Enter' && !event.shiftKey && !event.altKey) { event.preventDefault(); submit(); }
	else if (event.key === 'Tab' && !event.shiftKey && complete()) event.preventDefault();
	else if (event.key === 'ArrowUp' && !draft.value) { event.preventDefault(); (log.querySelector('.row:last-of-type') ?? log).focus(); }
}

function keyInLog(event) {
	const row = document.activeElement.closest('.row');
	const step = { ArrowUp: 'previousElementSibling', ArrowDown: 'nextElementSibling' }[event.key];
	if (!step || event.target.tagName === 'BUTTON') return;
	let next = row ? row[step] : log.querySelector('.row:last-of-type');
	while (next && (!next.classList.contains('row') || next.hidden)) next = next[step];
	event.preventDefault();
	if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: 'nearest' }); }
	else if (event.key === 'ArrowDown') draft.focus();
}

// ---- Search ----

let searching = { words: '', page: 1 };

function openSearch(words = '') {
	$('search').showModal();
	$('search-words').value = words;
	$('search-words').select();
	if (words) search(words, 1);
}

async function search(words, page) {
	const fields = { words: words.replace(/(^|\s)(from|in|before|after):(\S+)/g, (_, space, field, value) => { fields[field === 'in' ? 'room' : field] = value; return space; }).trim() };
	Object.assign(fields, ...[...words.matchAll(/(?:^|\s)(from|in|before|after):(\S+)/g)].map(([, field, value]) => ({ [field === 'in' ? 'room' : field]: value })));
	searching = { words, page };
	if (page === 1) $('found').replaceChildren();
	$('more').hidden = true;
	$('search-state').textContent = 'Searching …';
	const { events, error } = await ask({ op: 'search', page, ...fields });
	if (searching.words !== words || searching.page !== page) return;
	const hits = [];
	for (const event of events) {
		if (event.code === 'found') hits.push({ room: event.room, seq: event.seq, around: [] });
		else if (event.history) hits.at(-1)?.around.push(event);
	}
	$('found').append(...hits.map(hit => foundItem(hit)));
	const last = events.filter(({ kind, code, text }) => kind === 'notice' && !code && text).at(-1)?.text ?? '';
	$('more').hidden = !/^there is more/.test(last);
	const count = $('found').children.length;
	$('search-state').textContent = error ? error.text : /so new/.test(last) ? last : count ? `${plural(count, 'message')} found, newest first` : 'Nothing was found.';
}

function foundItem({ room, seq, around }) {
	const item = make('li'), go = button('', () => { $('search').close(); const target = roomNamed(room, true); goTo(target, seq); });
	go.className = 'hit';
	const hit = around.find(event => event.seq === seq);
	const head = make('span', 'hit-head', `# ${room} · ${hit ? full.format(Date.parse(hit.at)) : ''}`);
	go.append(head);
	for (const event of around) {
		const line = make('span', event.seq === seq ? 'hit-line it' : 'hit-line'), text = make('span', '', event.text.replaceAll('\u2424', ' '));
		line.dir = 'auto';
		line.append(whoOf(event.participant), text);
		go.append(line);
	}
	item.append(go);
	return item;
}

// ---- Names, panels ----

function askName(reason, renaming) {
	const dialog = $('hello');
	$('hello-title').textContent = renaming ? 'Another name?' : 'What shall we call you?';
	$('hello-go').textContent = renaming ? 'Take it' : 'Come in';
	$('hello-name').value = renaming ? me.name : me.name || remember(localStorage, 'name') || '';
	$('hello-fault').textContent = reason ?? '';
	dialog.dataset.renaming = renaming ? 'yes' : '';
	if (!dialog.open) dialog.showModal();
	$('hello-name').select();
}

async function nameGiven(event) {
	event.preventDefault();
	const name = $('hello-name').value.trim().replace(/\s+/g, ' ');
	if (!name) return;
	if ($('hello').dataset.renaming && wire.on) {
		const { error } = await ask({ op: 'nick', name });
		if (error) { $('hello-fault').textContent = error.text; return; }
	}
	$('hello').close();
	remember(localStorage, 'name', name);
	const url = new URL(location);
	if (url.searchParams.has('name')) { url.searchParams.set('name', name); history.replaceState(null, '', url); }
	if (!wire.on) { setName(name); if (!me.session) await chooseSession(); connect(); }
	draft.focus();
}

// The panels at the sides, where there is no room for them beside the messages.
function toggle(panel, opener) {
	const open = !panel.classList.contains('open');
	shut(true);
	panel.classList.toggle('open', open);
	opener.setAttribute('aria-expanded', String(open));
	$('shade').hidden = !open || !matchMedia('(max-width: 900px)').matches;
	if (open) panel.querySelector('[aria-current], .person, a, button')?.focus();
	else opener.focus();
	if (panel.id === 'side' && open) listRooms();
}

function shut(quiet) {
	const panel = document.querySelector('.side.open, .people.open');
	for (const opener of [$('menu'), $('crowd')]) opener.setAttribute('aria-expanded', 'false');
	panel?.classList.remove('open');
	$('shade').hidden = true;
	if (panel && !quiet) (panel.id === 'side' ? $('menu') : $('crowd')).focus();
	return !!panel;
}

function escape(event) {
	if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return;
	if (shut()) return;
	if (document.activeElement === draft && view.room) { view.room.line = null; toNewest(); }
	else draft.focus();
}

// ---- Begin ----

async function begin() {
	const roomInPath = decodeURIComponent(/^\/r\/([^/]+)$/.exec(location.pathname)?.[1] ?? '');
	const current = roomNamed(roomInPath || 'lobby', true);
	for (const name of remember(sessionStorage, 'rooms') ?? []) roomNamed(name, true);
	$('app').hidden = false;
	me.notify = remember(localStorage, 'notify') && 'Notification' in window && Notification.permission === 'granted';
	drawBell();
	show(current, true);
	await store.open();
	setTimeout(() => { me.waited = true; refresh('state'); }, 1500);
	setInterval(tick, 1000);
	setInterval(() => { if (wire.on && document.visibilityState === 'visible') { listRooms(); adopt(); } }, 20000);
	const name = new URLSearchParams(location.search).get('name')?.trim() || remember(localStorage, 'name');
	if (!name) return askName();
	setName(name);
	await chooseSession();
	connect();
	if (!matchMedia('(pointer: coarse)').matches) draft.focus();
}

$('composer').onsubmit = event => { event.preventDefault(); submit(); };
draft.onkeydown = keyInDraft;
draft.oninput = fit;
log.onkeydown = keyInLog;
log.onclick = event => { const name = event.target.closest('.who'); if (name && String(getSelection()) === '') mention(name.textContent); };
log.addEventListener('scroll', () => { if (!scrolling) { scrolling = true; requestAnimationFrame(scrolled); } }, { passive: true });
new ResizeObserver(() => { if (view.stick) log.scrollTop = log.scrollHeight; }).observe(log);
$('jump').onclick = () => { toNewest(); draft.focus(); };
$('menu').onclick = () => toggle($('side'), $('menu'));
$('crowd').onclick = () => toggle($('people'), $('crowd'));
$('shade').onclick = () => shut();
for (const close of document.querySelectorAll('[data-close]')) close.onclick = () => shut();
for (const close of document.querySelectorAll('[data-shut]')) close.onclick = () => close.closest('dialog').close();
for (const list of ['yours', 'others', 'people-list']) $(list).onkeydown = rove;
$('go').onsubmit = event => { event.preventDefault(); const name = $('go-name').value.trim(); $('go-name').value = ''; if (name) { shut(true); openRoom(name); draft.focus(); } };
$('stranger').onclick = () => { shut(true); meetStranger(); draft.focus(); };
$('bell').onclick = toggleBell;
$('find').onclick = () => openSearch();
$('search-form').onsubmit = event => { event.preventDefault(); const words = $('search-words').value.trim(); if (words) search(words, 1); };
$('more').onclick = () => search(searching.words, searching.page + 1);
$('rename').onclick = () => askName('', true);
$('hello-form').onsubmit = nameGiven;
$('hello').oncancel = event => { if (!$('hello').dataset.renaming) event.preventDefault(); };
$('guard').querySelector('form').onsubmit = event => { event.preventDefault(); $('guard').close(event.submitter?.value ?? 'no'); };
$('banner-button').onclick = () => { wire.stopped = ''; probe(); refresh('state'); };
document.addEventListener('keydown', escape);
document.addEventListener('visibilitychange', () => { if (document.visibilityState === 'visible') { probe(); refresh('log', 'rooms'); } });
addEventListener('focus', () => refresh('log', 'rooms'));
addEventListener('online', probe);
addEventListener('offline', () => { refresh('state'); probe(); });
addEventListener('pageshow', event => { if (event.persisted) probe(); });
addEventListener('popstate', () => { const name = decodeURIComponent(/^\/r\/([^/]+)$/.exec(location.pathname)?.[1] ?? 'lobby'); openRoom(name); });

begin();
