/*
 * The chat page: store (what is to be said), wire (the WebSocket), rooms (what was heard), the log, the lists, the composer.
 *
 * Said once: a line gets its number from its session's counter in the IndexedDB transaction that keeps it, so (session, number) means one
 * text for ever, and the server says it once. Each tab has a session of its own, because the server ends the older of two connections
 * of one; lines of a tab that is gone are said by one that lives, with the session and numbers they have.
 * Heard once: 'end' is the number of the last message that came from a room; a new connection asks for what is after it.
 */

const { assign } = Object;
const focused = () => document.activeElement;
const $ = id => document.getElementById(id);
const put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
// Bytes of a message (the server takes 65,535 with all around it); rows that are drawn, and how many more when scrolling; messages asked for
// at a time, and kept of a room; how many at a time are read out one by one; from how many lines on it is asked whether to send them.
const BYTES_MAX = 60000, WINDOW = 240, STEP = 80, PAGE = 100, CAP = 20000, LOUD = 3, MANY_LINES = 6;
const ANSWER_MS = 300;

function make(tag, name = '', text, ...children) {
	const element = document.createElement(tag);
	element.className = name;
	if (text != null) element.textContent = text;
	element.append(...children);
	return element;
}

function button(text, name, onclick, ...children) {
	return assign(make('button', name, text, ...children), { type: 'button', onclick });
}

function remember(storage, key, value) {
	try {
		if (value === undefined) return JSON.parse(storage.getItem('tcpchat.' + key));
		storage.setItem('tcpchat.' + key, JSON.stringify(value));
	} catch { return null; }
}

const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
const keyOf = name => name.normalize().toLowerCase();
const baseOf = name => name.replace(/#[0-9a-f]{6}$/, '');
const count = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;
// Where no keyboard comes up by itself.
const calm = () => !matchMedia('(pointer: coarse)').matches;

// ---- Store: sessions with their counters, lines with their numbers; without a database nothing outlives the tab ----

const store = {
	db: null, counter: 0,

	open: () => new Promise(resolve => {
		try {
			const request = indexedDB.open('tcpchat', 1);
			request.onupgradeneeded = () => {
				request.result.createObjectStore('sessions', { keyPath: 'id' });
				request.result.createObjectStore('lines', { keyPath: ['session', 'number'] });
			};
			request.onsuccess = () => resolve(store.db = request.result);
			request.onerror = request.onblocked = resolve;
		} catch { resolve(); }
	}),

	// One transaction; the promise is fulfilled when it is kept, with what work() gave back.
	run: work => new Promise((resolve, reject) => {
		if (!store.db) return resolve();
		const change = store.db.transaction(['sessions', 'lines'], 'readwrite'), request = work(change.objectStore('sessions'), change.objectStore('lines'));
		change.oncomplete = () => resolve(request?.result);
		change.onabort = () => reject(change.error);
	}),

	add(line) {
		if (!store.db) line.number = ++store.counter;
		return store.run((sessions, lines) => {
			sessions.get(line.session).onsuccess = ({ target }) => {
				const session = target.result ?? { id: line.session = random(), name: line.name, next: 1 }; // it was cleared away
				line.number = session.next++;
				sessions.put(session);
				lines.put(line);
			};
		});
	},
	keep: line => store.run((_, lines) => lines.put(line)),
	forget: line => store.run((_, lines) => lines.delete([line.session, line.number])),
	sessions: async () => await store.run(sessions => sessions.getAll()) ?? [],
	lines: async () => await store.run((_, lines) => lines.getAll()) ?? [],
};

const held = new Set(), asking = new Map(), channel = new BroadcastChannel('tcpchat');

channel.onmessage = ({ data: { asks, has } }) => {
	if (held.has(asks)) channel.postMessage({ has: asks });
	asking.get(has)?.(false);
};

// Takes a session for this tab, unless another one answers that it has it. (Locks of the browser are for pages from https alone.)
async function claim(id) {
	if (held.has(id)) return true;
	held.add(id);
	channel.postMessage({ asks: id });
	const free = await new Promise(resolve => { asking.set(id, resolve); setTimeout(resolve, ANSWER_MS, true); });
	if (!free) held.delete(id);
	return free;
}

async function chooseSession() {
	let id = remember(sessionStorage, 'session');
	if (!(await store.sessions()).some(session => session.id === id) || !await claim(id)) {
		id = random();
		await store.run(sessions => sessions.put({ id, name: baseOf(me.name), next: 1 }));
	}
	takeSession(id);
}

function takeSession(id) {
	held.add(me.session = id);
	remember(sessionStorage, 'session', id);
}

// ---- Who I am ----

const me = { name: '', session: '', version: 0 };

function setName(name) {
	if (name === me.name) return;
	me.name = name;
	me.version++;
	const names = [name, baseOf(name)].map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
	me.pieces = new RegExp(`(?<![\\p{L}\\p{N}_])(?:https?://[^\\s<>"'\`\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]+|@${baseOf(name).length < 3 ? '' : '?'}(?:${names.join('|')})(?![\\p{L}\\p{N}_]))`, 'giu');
	put('me-name', name);
	paintAvatar($('me-avatar'), name);
	refresh();
}

const isMine = name => !!name && keyOf(name) === keyOf(me.name);
const isLink = piece => /^https?:/i.test(piece);
const mentions = text => (text.match(me.pieces) ?? []).some(piece => !isLink(piece));

// ---- Wire ----

/*
 * What a close code means; after any other one (1001, 1006, 1011 to 1013, 4408) connect again, later each time. Before 1008 an error told
 * why; 1009: a message was too big; 4000: another tab has our session.
 */
const REFUSED = 'The server has refused this connection; load the page again.';
const STOPS = { 1000: 'You have left.', 1002: REFUSED, 1003: REFUSED, 1007: REFUSED, 1008: REFUSED };
const HEARD_MS = 20000, PONG_MS = 10000, PROBE_MS = 4000, DELAY_MS = 500, DELAY_MOST_MS = 30000;

const wire = { tries: 0, due: 0, stopped: '', asks: [], asked: 0 };

const send = request => wire.on && wire.socket.send(JSON.stringify(request));

// Asks; the answer ends with that to a ping. 'each' gets each event at once. 'room' is the one to be entered.
function ask(request, { each, room } = {}) {
	return new Promise(resolve => {
		if (!wire.on) return resolve({ events: [], error: { code: 'offline', text: 'there is no connection' } });
		const id = 'q' + ++wire.asked;
		wire.asks.push({ id, each, room, resolve, events: [] });
		send({ ...request, id });
		send({ op: 'ping', id: id + 'e' });
	});
}

function connect() {
	clearTimeout(wire.timer);
	if (wire.socket || !me.name || wire.stopped) return;
	const socket = wire.socket = new WebSocket(`ws${location.protocol === 'https:' ? 's' : ''}://${location.host}/chat/join`);
	wire.deadline = Date.now() + PONG_MS;
	wire.fault = null;
	socket.onopen = () => {
		const room = wire.first = firstRoom();
		wire.session = me.session;
		socket.send(JSON.stringify({ op: 'session', session: me.session, name: me.name, ...placeOf(room) }));
	};
	socket.onmessage = ({ data }) => { wire.heard = Date.now(); if (wire.on) wire.deadline = 0; hear(JSON.parse(data)); };
	socket.onclose = ({ code }) => lost(code);
	refresh();
}

// A room, and from where on it is to be read.
const placeOf = room => ({ room: refOf(room), history: 'none', ...(room.id && { after: room.end, room_id: room.id }) });

// The connection is of no use: forgets it at once, however long the browser takes to close it.
function drop() {
	if (!wire.socket) return;
	wire.socket.onopen = wire.socket.onmessage = wire.socket.onclose = null;
	wire.socket.close();
	lost(1006);
}

function lost(code) {
	const { on, asks, fault } = wire;
	assign(wire, { socket: null, on: false, asks: [] });
	for (const { resolve, events } of asks) resolve({ events, error: { code: 'offline', text: 'the connection broke' } });
	for (const room of rooms) {
		room.here = room.loading = false;
		for (const entry of room.pending) entry.sent = false;
	}
	refresh();
	if (!on && fault && notLetIn(fault)) return;
	if (STOPS[code] && fault?.code !== 'server-full') { wire.stopped = fault?.text ?? STOPS[code]; return; }
	if (code === 1009) refuseLargest('it is too long for this server');
	if (code === 4000) {
		held.delete(wire.session);
		for (const entry of allPending()) if (entry.line.session === wire.session) remove(entry);
		if (wire.session === me.session) takeSession(random());
	}
	again((code === 1001 ? 2 : 1) * DELAY_MS * (0.5 + Math.random()) + Math.min(DELAY_MOST_MS, DELAY_MS * (2 ** wire.tries++ - 1)) * Math.random());
}

function again(ms) {
	wire.due = Date.now() + ms;
	wire.timer = setTimeout(connect, ms);
}

// The first frame was refused. Returns whether all that can be done was done.
function notLetIn({ code, text }) {
	if (['bad-name', 'usage', 'bad-request'].includes(code)) return askName(text), true;
	if (!/room/.test(code) || keyOf(wire.first.name) === 'lobby') return false;
	wire.first.isOver = text;
	again(DELAY_MS);
	return true;
}

// The world may have changed (awake, online): is the connection still one?
function probe() {
	if (wire.on) {
		wire.deadline ||= Date.now() + PROBE_MS;
		send({ op: 'ping' });
	} else {
		wire.tries = 0;
		connect();
	}
}

let ticked = Date.now();

function tick() {
	const now = Date.now(), slept = now - ticked > 15000;
	ticked = now;
	if (slept) probe();
	else if (wire.deadline && now > wire.deadline) drop();
	else if (wire.on && !wire.deadline && now - wire.heard > HEARD_MS) {
		wire.deadline = now + PONG_MS;
		send({ op: 'ping' });
	}
	if (!wire.on) drawState();
}

// ---- What the server says ----

function hear(event) {
	const asked = wire.asks[0], { id, kind, code } = event;
	if (typeof id === 'number') return answered(event);
	if (kind === 'pong') {
		if (asked && id === asked.id + 'e') wire.asks.shift().resolve(asked);
		return;
	}
	const answers = asked && id === asked.id;
	if (code === 'room' || kind === 'welcome') settle(event, answers ? asked.room : null);
	if (event.seq && !code) {
		const room = roomNamed(event.room);
		if (room && (!event.history || event.seq === room.end + 1)) return happened(room, event);
	}
	if (answers || asked && event.history) {
		asked.events.push(event);
		if (kind === 'error') asked.error = event;
		asked.each?.(event);
	} else HEARD[kind]?.(event);
}

const HEARD = {
	room_closed: event => closed(roomNamed(event.room), event),
	direct({ participant, to, text }) {
		note({ kind: 'direct', who: participant, text, to });
		if (!isMine(participant)) alarm(view.room, participant, text, true);
	},
	error(event) {
		if (!wire.on) wire.fault = event;
		else if (event.code === 'line-too-long') refuseLargest(event.text);
		else if (event.id !== 'quiet') note({ text: event.text, bad: true });
	},
	notice({ code, room, participant, text, id, ...event }) {
		if (code === 'skipped') note({ text: count(event.count, 'message') + ' not kept any more' }, roomNamed(room));
		else if (code || id === 'quiet' || !text) return;
		else note({ text }, !participant && room && roomNamed(room));
		if (participant) alarm(view.room, participant, text, true);
	},
};

// We are in a room, and 'place' tells up to where it had been said.
function settle(place, asked) {
	let room = asked ?? (place.kind === 'welcome' ? wire.first : roomNamed(place.room, true));
	const known = rooms.find(other => other.id === place.room_id && other !== room);
	if (known) { rooms.splice(rooms.indexOf(room), 1); if (view.room === room) show(known); room = known; }
	if (place.kind === 'welcome') welcomed(place);
	assign(room, { name: place.room, here: true, isOver: '' });
	if (room.id !== place.room_id) {
		assign(room, { id: place.room_id, end: place.last, low: place.last + 1, messages: [], atStart: false, unread: 0, read: place.mark, line: place.mark && place.mark < place.last ? place.mark : null });
		loadOlder(room);
	}
	who(room);
	flush();
	saveRooms();
	refresh();
}

function welcomed({ participant }) {
	assign(wire, { on: true, tries: 0, deadline: 0 });
	setName(participant);
	queueMicrotask(() => {
		for (const room of rooms) if (!room.isOver && !room.here) enter(room);
		listRooms();
		adopt();
	});
	if (me.wasOn) announce('Connected again.');
	me.wasOn = true;
}

async function enter(room) {
	if (room.entering) return;
	room.entering = true;
	const { error } = await ask({ op: 'join', ...placeOf(room) }, { room });
	room.entering = false;
	if (error && error.code !== 'offline') over(room, error.text);
}

// ---- Rooms: what was heard ----

const rooms = [], listed = new Map(); // ours; others, by name

function roomNamed(name, makes) {
	let room = rooms.find(room => keyOf(room.name) === keyOf(name) || room.id === name.toLowerCase());
	if (!room && makes) {
		room = { name, id: '', here: false, isOver: '', end: 0, low: 1, read: 0, line: null, unread: 0, called: 0, topic: '', draft: '',
			messages: [], pending: [], people: new Map(), more: 0, version: 0 };
		rooms.push(room);
	}
	return room;
}

const refOf = room => (room.stranger ? room.id : room.name);
const firstRoom = () => [view.room, ...rooms].find(room => !room.isOver && !room.stranger) ?? roomNamed('lobby', true);
const labelOf = room => (room.stranger ? (room.met ? 'Stranger' : 'Waiting …') : room.name);
const saveRooms = () => remember(sessionStorage, 'rooms', rooms.filter(room => !room.isOver && !room.stranger).map(room => room.name));

let keys = 0;

function entryOf({ seq, kind, at, participant: who, text }) {
	const entry = { key: 'k' + ++keys, seq, n: seq, kind, who, text, version: 0 };
	if (kind === 'joined' || kind === 'left') assign(entry, { kind: 'crowd', crowd: new Map([[who, kind]]) });
	return stamp(entry, Date.parse(at));
}

const stamp = (entry, at) => assign(entry, { at, day: new Date(at).toDateString() });

// Comings and goings that follow each other are one entry.
function push(room, entry) {
	const last = room.messages.at(-1);
	if (entry.crowd && last?.crowd) {
		for (const [who, kind] of entry.crowd) { last.crowd.delete(who); last.crowd.set(who, kind); }
		last.n = last.seq = entry.seq;
		last.version++;
	} else room.messages.push(entry);
	if (room.messages.length <= CAP || !view.stick && view.room === room) return;
	room.messages.splice(0, STEP);
	room.low = room.messages[0].n;
	room.atStart = false;
}

// Something was said or done, now, or since we were last connected.
function happened(room, event) {
	if (event.seq <= room.end) return;
	const entry = entryOf(event), said = entry.kind === 'message' || entry.kind === 'action', mine = isMine(entry.who);
	room.end = event.seq;
	push(room, entry);
	crowdChanges(room, event);
	if (mine && said) echoed(room, entry);
	if (event.kind === 'topic') room.topic = event.text;
	if (event.kind === 'room_closed') closed(room, event);
	if (said && !mine) {
		const called = mentions(entry.text);
		if (!isRead(room)) {
			if (!room.unread++) room.line = event.seq - 1;
			room.called += called;
		}
		alarm(room, entry.who, entry.text, called);
	}
	refresh();
}

function crowdChanges(room, { kind, participant, text }) {
	if (!['joined', 'left', 'nick'].includes(kind)) return;
	room.version++;
	room.people.delete(keyOf(participant));
	if (kind !== 'left') room.people.set(keyOf(text ?? participant), text ?? participant);
	if (kind === 'nick' && isMine(participant)) setName(text);
	if (room.people.size > 1) room.met = true;
}

function closed(room, { participant }) {
	if (room) over(room, room.stranger ? 'The stranger has left.' : `${participant ?? 'Somebody'} has closed this room.`);
}

function over(room, why) {
	assign(room, { isOver: why, here: false, people: new Map(), version: room.version + 1 });
	for (const entry of room.pending) if (entry.state === 'pending') refused(entry, why);
	saveRooms();
	refresh();
}

// A line of the page's own, which nobody else sees.
function note(entry, room) {
	room ||= view.room;
	push(room, stamp({ key: 'k' + ++keys, n: room.end, kind: 'note', version: 0, ...entry }, Date.now()));
	announce((entry.who ? entry.who + ': ' : '') + entry.text);
	refresh();
}

// Asks for what was said before. The server's answer ends after 1 MiB, with the newest left out: then it is asked for less.
async function loadOlder(room, most = PAGE) {
	if (room.loading || room.atStart || !room.here) return;
	const { id, low } = room;
	room.loading = true;
	refresh();
	const { events, error } = await ask({ op: 'history', room: refOf(room), before: low, count: most });
	const older = events.filter(event => event.seq).map(entryOf), size = older.reduce((sum, { text }) => sum + text.length, 0);
	room.loading = false;
	refresh();
	if (error || room.id !== id) return;
	if (size > 3e5 && most > 1 && older.length < most) return loadOlder(room, most >> 2);
	room.messages.unshift(...older);
	room.low = older[0]?.n ?? 1;
	room.atStart = older.length < most;
	if (view.room === room) { view.from += older.length; view.to += older.length; }
	room.topic ||= older.findLast(({ kind }) => kind === 'topic')?.text ?? '';
	if (room.line === null || room.read >= room.end) return;
	room.unread += older.filter(({ n, who }) => n > room.line && !isMine(who)).length; // we have just come, and were here before
	if (!room.unread) room.line = null;
}

// Shows a message of long ago.
async function goTo(room, seq) {
	show(room);
	if (!room.here) await enter(room);
	while (room.low > seq && room.here && !room.atStart) await loadOlder(room, 5 * PAGE);
	const at = Math.max(0, room.messages.findIndex(({ n }) => n >= seq));
	assign(view, { stick: false, from: Math.max(0, at - STEP), to: at + STEP });
	drawLog();
	const row = rows.get(room.messages[at]?.key);
	row?.classList.add('flash');
	row?.focus();
	row?.scrollIntoView({ block: 'center' });
}

function toNewest() {
	view.stick = true;
	refresh();
}

async function who(room) {
	const { events } = await ask({ op: 'who', room: refOf(room) });
	const found = /^\d+ [^:]*: (.*?)(?:, and (\d+) more)?$/.exec(events[0]?.text);
	if (!found) return;
	room.people = new Map(found[1].split(', ').map(name => [keyOf(name), name]));
	room.more = Number(found[2] ?? 0);
	room.met ||= room.people.size > 1;
	room.version++;
	refresh();
}

async function listRooms() {
	const { events, error } = await ask({ op: 'rooms' });
	if (error) return;
	listed.clear();
	for (const { room: name, text } of events) {
		const found = name && /^ \((\d+)\)(?: - (.*))?$/.exec(text.slice(name.length)), ours = found && roomNamed(name);
		if (ours) ours.topic = found[2] ?? '';
		else if (found) listed.set(name, { name, people: Number(found[1]) });
	}
	refresh();
}

function openRoom(name) {
	const room = roomNamed(name, true);
	if (!room.stranger) room.isOver = '';
	show(room);
	if (!room.here) enter(room);
}

async function meetStranger() {
	const { error } = await ask({ op: 'join' }, { each(event) {
		if (event.code === 'room') show(assign(roomNamed(event.room), { stranger: true, met: /met/.test(event.text) }));
	} });
	if (error) note({ text: error.text, bad: true });
}

async function leaveRoom(room) {
	if (room.here) await ask({ op: 'leave', room: refOf(room) });
	rooms.splice(rooms.indexOf(room), 1);
	if (view.room === room) openRoom(firstRoom().name);
	saveRooms();
	listRooms();
}

// ---- What I say ----

let adding = Promise.resolve();

function say(room, text, action) {
	const line = { session: me.session, name: baseOf(me.name), number: 0, room: refOf(room), text: text.toWellFormed().replaceAll('\0', ''), action, at: Date.now() };
	const entry = pend(room, line);
	room.line = null;
	toNewest();
	adding = adding.then(() => store.add(line)).then(() => {
		refresh();
		if (!held.has(line.session)) takeSession(line.session);
		flush();
	}, fault => refused(entry, `this browser cannot keep it: ${fault?.message}`));
}

// A page that is closed asks, while a line is not kept yet.
window.onbeforeunload = event => {
	if (allPending().some(({ line, state }) => !line.number && state === 'pending')) event.preventDefault();
};

// A line that is to be said, as the room shows it.
function pend(room, line) {
	const entry = stamp({ key: 'p' + ++keys, n: Infinity, kind: line.action ? 'action' : 'message', who: me.name, text: line.text.replace(/\r\n?|\n/g, '\u2424'),
		version: 0, state: line.refused ? 'refused' : 'pending', reason: line.refused, line, room, sent: false }, line.at);
	room.pending.push(entry);
	refresh();
	return entry;
}

const allPending = () => rooms.flatMap(room => room.pending);
const waiting = () => allPending().filter(({ line, state }) => line.number && state === 'pending').sort((left, right) => left.line.number - right.line.number);

// Sends what waits, in the order of the numbers; when all of one session is said, that of another.
function flush() {
	if (!wire.on || wire.turning) return;
	const lines = waiting().filter(({ room }) => room.here);
	for (const entry of lines) {
		const { session, number: id, room, text, action } = entry.line;
		if (entry.sent || session !== wire.session) continue;
		entry.sent = true;
		send({ op: 'send', room, text, id, action });
	}
	if (lines.some(({ sent }) => sent)) return;
	const next = lines[0]?.line.session ?? me.session;
	if (next !== wire.session) turn(next);
}

async function turn(session) {
	wire.turning = true;
	const { error } = await ask({ op: 'session', session });
	wire.turning = false;
	if (error) return;
	wire.session = session;
	flush();
}

function answered({ id, kind, code, text, seq }) {
	const entry = waiting().find(({ line }) => line.session === wire.session && line.number === id);
	if (!entry) return;
	if (kind === 'error') refused(entry, text);
	else if (code === 'said') {
		store.forget(entry.line);
		assign(entry, { state: 'said', seq });
		if (entry.room.end >= seq) remove(entry);
	}
	flush();
	refresh();
}

// Our own words have come back. While their answer has not, this only looks like them: they are hidden, and sent again if need be.
function echoed(room, { text, seq, kind }) {
	const entry = room.pending.find(one => one.seq === seq) ?? room.pending.find(one => one.sent && one.state === 'pending' && one.text === text && one.kind === kind);
	if (entry?.state === 'said') remove(entry);
	else if (entry) entry.hidden = true;
}

function remove(entry) {
	entry.room.pending = entry.room.pending.filter(other => other !== entry);
	refresh();
}

function refused(entry, reason) {
	assign(entry, { state: 'refused', reason, hidden: false, sent: false });
	if (entry.line.number) store.keep({ ...entry.line, refused: reason });
	announce('Not said: ' + reason);
	refresh();
}

function refuseLargest(reason) {
	const [largest] = waiting().filter(({ sent }) => sent).sort((left, right) => right.text.length - left.text.length);
	if (largest) refused(largest, reason);
}

function sayAgain(entry) {
	delete entry.line.refused;
	assign(entry, { state: 'pending', sent: false });
	if (entry.line.number) store.keep(entry.line);
	if (!entry.room.here) openRoom(entry.room.name);
	flush();
	refresh();
}

function forget(entry) {
	store.forget(entry.line);
	remove(entry);
	draft.focus();
}

// Takes over what tabs that are gone left unsaid, and clears away sessions that nobody needs.
async function adopt() {
	await adding;
	const sessions = await store.sessions(), lines = await store.lines(), shown = allPending().map(({ line }) => line);
	for (const { id, name } of sessions) {
		const left = lines.filter(({ session }) => session === id);
		if (left.length && id !== me.session && keyOf(name) !== keyOf(baseOf(me.name)) || !await claim(id)) continue;
		for (const line of left) if (!shown.some(({ session, number }) => session === id && number === line.number)) adoptLine(line);
		if (left.length || id === me.session) continue;
		await store.run(sessions => sessions.delete(id));
		held.delete(id);
	}
	flush();
}

function adoptLine(line) {
	if (Date.now() - line.at > 7e7) line.refused ??= 'it is old, and may have been said; send it again if it is missing';
	const room = roomNamed(line.room, true);
	pend(room, line);
	if (!room.here) enter(room);
}

// ---- Telling people: title, notifications, screen readers ----

const attentive = () => !document.hidden && document.hasFocus();
const isRead = room => view.room === room && view.stick && attentive();
const announce = text => put('tell', text);

let told = [], tellTimer = 0;

// A few messages are read out; of many, that there are many, and then nothing for a while.
function tell() {
	const names = [...new Set(told.map(({ who }) => who))], many = told.length > LOUD;
	tellTimer = many ? setTimeout(tell, 5000) : 0;
	if (many) announce(`${told.length} new messages from ${names.slice(0, 3).join(', ')}${names[3] ? ' and others' : ''}`);
	else if (told.length) announce(told.map(({ who, text }) => `${who}: ${text.slice(0, 300)}`).join('. '));
	told = [];
}

function alarm(room, who, text, called) {
	called ||= room.stranger;
	if (view.room === room || called) { told.push({ who, text }); tellTimer ||= setTimeout(tell, 700); }
	if (!called || attentive() || !me.notify) return;
	// Some phones have none for pages.
	try {
		const shown = new Notification(`${who} in ${labelOf(room)}`, { body: text.slice(0, 200), tag: room.id });
		shown.onclick = () => { focus(); show(room); shown.close(); };
	} catch {}
}

const mayNotify = () => window.Notification?.permission === 'granted';

async function toggleBell() {
	if (!isSecureContext || !window.Notification) return note({ text: 'Notifications need https.', bad: true });
	me.notify = !me.notify && await Notification.requestPermission() === 'granted';
	remember(localStorage, 'notify', me.notify);
	announce(me.notify ? 'You are notified when somebody mentions you.' : mayNotify() ? 'No notifications.' : 'Notifications are not allowed here.');
	refresh();
}

let markTimer = 0;

// What is seen is read; the server is told, at most every two seconds.
function markRead(room) {
	if (!isRead(room) || room.read >= room.end && !room.unread) return;
	assign(room, { unread: 0, called: 0, read: room.end });
	refresh();
	markTimer ||= setTimeout(() => { markTimer = 0; if (room.here) send({ op: 'mark', room: refOf(room), seq: room.read, id: 'quiet' }); }, 2000);
}

// ---- The log: a window of rows on what was heard ----

const log = $('log'), draft = $('draft');
const view = { room: null, from: 0, to: 0, stick: true };
let rows = new Map();

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const dayName = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });

function tint(element, name) {
	let hash = 7;
	for (const letter of keyOf(name)) hash = Math.imul(hash, 31) + letter.codePointAt(0) | 0;
	element.style.setProperty('--hue', Math.abs(Math.imul(hash, 0x9e3779b1) >> 8) % 360);
	return element;
}

function paintAvatar(element, name) {
	element.textContent = [...baseOf(name)].slice(0, 2).join('').toUpperCase();
	return tint(element, name);
}

function avatarOf(name, size) {
	const element = paintAvatar(make('span', 'avatar ' + size), name);
	element.ariaHidden = 'true';
	return element;
}

const whoOf = name => tint(make('bdi', 'who', name), name);

// A link does not end with the sentence's own marks, nor with a bracket that was opened before it.
const trimLink = link => link.replace(link.includes('(') ? /[.,;:!?…]+$/ : /[.,;:!?…)\]}]+$/, '');

function linkOf(text) {
	return assign(make('a', '', text), { href: new URL(text).href, rel: 'noopener noreferrer nofollow', target: '_blank' });
}

function fillText(element, text) {
	const shown = text.replaceAll('\u2424', '\n');
	let at = 0;
	element.dir = 'auto';
	for (const { 0: found, index } of shown.matchAll(me.pieces)) {
		const piece = isLink(found) ? trimLink(found) : found;
		if (isLink(found) && !URL.canParse(piece)) continue;
		if (index > at) element.append(make('span', '', shown.slice(at, index)));
		element.append(isLink(found) ? linkOf(piece) : make('mark', '', piece));
		at = index + piece.length;
	}
	if (!at) element.textContent = shown;
	else if (at < shown.length) element.append(make('span', '', shown.slice(at)));
	return element;
}

function timeOf(at, name) {
	return assign(make('time', name, clock.format(at)), { dateTime: new Date(at).toISOString(), title: full.format(at) });
}

function crowdText(crowd) {
	const names = wanted => [...crowd].filter(([, kind]) => kind === wanted).map(([name]) => name).slice(-8).join(', ');
	return [['joined', 'came'], ['left', 'left']].filter(([kind]) => names(kind)).map(([kind, verb]) => `${names(kind)} ${verb}`).join(' · ');
}

const ASIDES = {
	crowd: ({ crowd }) => crowdText(crowd),
	nick: ({ who, text }) => `${who} is now ${text}`,
	topic: ({ who, text }) => who + (text ? ' set the topic: ' + text : ' removed the topic'),
	room_closed: ({ who }) => `${who ?? 'Somebody'} closed this room`,
	direct: ({ who, to, text }) => `${who} to ${to} alone: ${text}`,
	note: ({ text }) => text,
};

// The row of an entry; the one that is there already, unless it would look different.
function rowOf(entry, before) {
	const { key, kind, who, at, state } = entry;
	const first = kind !== 'action' && (before?.kind !== kind || before.who !== who || at - before.at > 3e5);
	const shape = [first, state, entry.version, entry.hidden, me.version, state && wire.on, entry.line?.number].join();
	if (rows.get(key)?.shape === shape) return rows.get(key);
	const row = assign(make('article', 'row ' + (state ?? '')), { key, shape, tabIndex: -1, hidden: !!entry.hidden });
	if (entry.seq) row.dataset.seq = entry.seq;
	if (ASIDES[kind]) {
		row.className += entry.bad ? ' aside bad' : ' aside';
		row.append(assign(make('div', 'text', ASIDES[kind](entry)), { dir: 'auto' }), timeOf(at, 'when'));
		return row;
	}
	const text = fillText(make('div', 'text'), entry.text);
	row.classList.toggle('called', !isMine(who) && mentions(entry.text));
	row.classList.toggle('first', first);
	if (!first) row.append(timeOf(at, 'when'));
	if (kind === 'action') row.append(make('div', 'does', null, whoOf(who), text));
	else {
		if (first) row.append(avatarOf(who, ''), make('div', 'who-line', null, whoOf(who), timeOf(at)));
		else row.append(make('span', 'sr', who + ': '));
		row.append(text);
	}
	if (state === 'pending') row.append(make('span', 'fate', !entry.line.number ? 'saving' : wire.on ? 'sending' : 'waits'));
	if (state === 'refused') row.append(make('div', 'why', null, make('span', '', `Not said: ${entry.reason}`), button('Send again', 'text', () => sayAgain(entry)), button('Remove', 'text', () => forget(entry))));
	return row;
}

function separator(key, name, text) {
	const row = rows.get(key) ?? assign(make('div', name, null, make('span')), { key });
	if (row.textContent !== text) row.firstChild.textContent = text;
	return row;
}

const entryAt = (room, index) => room.messages[index] ?? room.pending[index - room.messages.length];

function drawLog() {
	const room = view.room, total = room.messages.length + room.pending.length, today = new Date().toDateString(), wanted = [];
	if (view.stick) assign(view, { from: Math.max(0, total - WINDOW), to: total });
	view.to = Math.min(total, Math.max(view.to, view.from + STEP));
	const anchor = view.stick ? null : anchorNow();
	if (!view.from) wanted.push(separator('begin', 'begin', room.loading ? 'Loading …' : room.atStart && total ? 'This is where it begins.' : ''));
	for (let index = view.from; index < view.to; index++) {
		const entry = entryAt(room, index), before = index ? entryAt(room, index - 1) : null;
		const newDay = before?.day !== entry.day, isLine = room.line !== null && entry.n > room.line && !(before?.n > room.line);
		if (newDay) wanted.push(separator(entry.day, 'day', entry.day === today ? 'Today' : dayName.format(entry.at)));
		if (isLine) wanted.push(separator('line', 'line', 'New messages'));
		wanted.push(rowOf(entry, newDay || isLine ? null : before));
	}
	replaceRows(wanted);
	if (view.stick) log.scrollTop = log.scrollHeight;
	else if (rows.has(anchor?.key)) log.scrollTop += rows.get(anchor.key).offsetTop - anchor.top;
	drawEdges(room, total);
}

// The children become those that are wanted; those that stay are not touched.
function replaceRows(wanted) {
	const keep = new Set(wanted), inside = focused().closest('.row');
	for (const row of [...log.children]) if (!keep.has(row)) row.remove();
	let next = log.firstElementChild;
	for (const row of wanted) {
		if (row === next) next = next.nextElementSibling;
		else log.insertBefore(row, next);
	}
	rows = new Map(wanted.map(row => [row.key, row]));
	if (inside && !inside.isConnected) (rows.get(inside.key) ?? log).focus({ preventScroll: true });
}

// The first row that is seen, and where it is; it is to stay there.
function anchorNow() {
	const row = [...log.querySelectorAll('.row:not([hidden])')].find(row => row.offsetTop + row.offsetHeight > log.scrollTop);
	return row && { key: row.key, top: row.offsetTop };
}

function drawEdges(room, total) {
	const empty = !total && !room.loading && (room.atStart || !!room.isOver);
	$('jump').hidden = view.stick;
	put('jump-words', room.unread ? count(room.unread, 'new message') : 'Newest');
	$('empty').hidden = !empty;
	put('empty', room.isOver || (room.stranger ? 'Say hello when somebody else has pressed the same button.' : 'It is quiet here. Say something; whoever comes will see it.'));
	markRead(room);
}

let scrolling = false;

function scrollSoon() {
	if (!scrolling) requestAnimationFrame(scrolled);
	scrolling = true;
}

// Draws or loads more where the end of what is drawn comes near.
function scrolled() {
	const room = view.room, total = room.messages.length + room.pending.length, near = Math.max(600, log.clientHeight), { stick } = view;
	const gap = log.scrollHeight - log.scrollTop - log.clientHeight;
	scrolling = false;
	if (drawing) return; // what came is not drawn yet; this comes again
	view.stick = view.to >= total && gap < 40;
	if (log.scrollTop < near && !view.stick && view.from) {
		view.from = Math.max(0, view.from - STEP);
		view.to = Math.min(view.to, view.from + WINDOW);
		drawLog();
	} else if (gap < near && view.to < total) {
		view.to += STEP;
		drawLog();
		view.from = Math.max(view.from, view.to - WINDOW);
		drawLog();
	}
	if (log.scrollTop < near && !view.from) loadOlder(room);
	if (stick !== view.stick) drawEdges(room, total);
}

// ---- The lists; a list is drawn anew only when 'state' has changed ----

function drawList(list, state, items) {
	if (list.state === state) return;
	list.state = state;
	const at = [...list.children].findIndex(item => item.contains(focused()));
	list.replaceChildren(...items());
	const stops = stopsOf(list), current = stops.find(stop => stop.ariaCurrent) ?? stops[0];
	for (const stop of stops) stop.tabIndex = stop === current ? 0 : -1;
	if (at >= 0) (stops[at] ?? draft).focus();
}

const stopsOf = list => [...list.querySelectorAll('.room, .person')];

// One stop for Tab in a list; the arrow keys go through it.
function rove(event) {
	const stops = stopsOf(event.currentTarget), at = stops.indexOf(focused());
	const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops.length - 1 }[event.key];
	if (at < 0 || !stops[to]) return;
	event.preventDefault();
	stops[at].tabIndex = -1;
	stops[to].tabIndex = 0;
	stops[to].focus();
}

function drawRooms() {
	const others = [...listed.values()].filter(({ name }) => !roomNamed(name)).sort((left, right) => right.people - left.people);
	drawList($('yours'), rooms.map(room => [labelOf(room), room.id, room.unread, room.called, room.isOver, room === view.room]).join('\n'), () => rooms.map(roomItem));
	drawList($('others'), others.map(({ name, people }) => name + people).join('\n'), () => others.map(roomItem));
	$('others-caption').hidden = !others.length;
	$('menu-dot').hidden = !rooms.some(room => room !== view.room && room.unread);
}

function roomItem(room) {
	const ours = room.messages !== undefined, label = ours ? labelOf(room) : room.name, { unread, called } = room;
	const link = make('a', 'room', null, make('bdi', 'name', label));
	link.href = '/r/' + encodeURIComponent(room.name);
	link.onclick = event => {
		if (event.metaKey || event.ctrlKey || event.shiftKey) return;
		event.preventDefault();
		shut();
		if (ours) show(room); else openRoom(room.name);
		if (calm()) draft.focus();
	};
	link.classList.toggle('fresh', !!unread);
	if (unread) link.append(make('span', called ? 'badge called' : 'badge', unread, make('span', 'sr', called ? ' new, you were mentioned' : ' new')));
	if (!ours) link.append(make('span', 'number', room.people, make('span', 'sr', ' here')));
	if (room === view.room) link.ariaCurrent = 'page';
	const item = make('li', '', null, link);
	if (ours && rooms.length > 1) item.append(assign(button('×', 'leave', () => leaveRoom(room)), { ariaLabel: 'Leave ' + label }));
	return item;
}

function drawPeople() {
	const room = view.room, all = room.people.size + room.more;
	drawList($('people-list'), [room.id, room.version, me.version].join(), () => {
		const names = [...room.people.values()].sort((left, right) => isMine(right) - isMine(left) || (left < right ? -1 : 1)), more = all - Math.min(names.length, 200);
		const items = names.slice(0, 200).map(name => make('li', '', undefined,
			button(null, 'person', () => mention(name), avatarOf(name, 'small'), make('bdi', 'name', name), make('span', 'you', isMine(name) ? 'you' : ''))));
		return more ? [...items, make('li', 'quiet', `and ${more} more`)] : items;
	});
	put('crowd-count', all || '');
	$('crowd').ariaLabel = `People, ${all} here`;
	put('people-title', `People · ${all}`);
}

function drawHead() {
	const room = view.room, unread = rooms.reduce((sum, { unread }) => sum + unread, 0), title = `${unread ? `(${unread}) ` : ''}${labelOf(room)} · tcpchat`;
	put('room-name', labelOf(room));
	put('topic', room.topic);
	draft.disabled = $('send').disabled = !!room.isOver;
	draft.placeholder = room.isOver || `Message ${labelOf(room)}`;
	$('bell').ariaPressed = !!me.notify;
	if (document.title !== title) document.title = title;
}

function drawState() {
	const waits = waiting().length, soon = Math.ceil((wire.due - Date.now()) / 1000);
	let text = wire.stopped || (me.wasOn ? `The connection is lost${soon > 1 && !wire.socket ? `; next try in ${soon} s.` : '; connecting …'}` : 'Connecting …');
	if (waits) text += ` ${count(waits, 'message')} will be said then.`;
	put('banner-words', text);
	put('banner-button', wire.stopped ? 'Come back' : 'Try now');
	$('banner').hidden = wire.on || !wire.stopped && !me.wasOn && performance.now() < 3000 || !me.name;
	put('me-state', wire.stopped ? 'away' : wire.on ? 'connected' : me.name && 'connecting …');
	if (me.wasOn && !wire.on && !$('app').classList.contains('off')) announce('The connection is lost.');
	$('app').classList.toggle('off', !wire.on);
}

let drawing = false;

// Draws, once a frame; behind other windows now and then.
function refresh() {
	if (drawing) return;
	drawing = true;
	(!document.hidden ? requestAnimationFrame : later => setTimeout(later, 250))(() => {
		drawing = false;
		if (!view.room) return;
		for (const part of [drawState, drawLog, drawRooms, drawPeople, drawHead]) part();
		scrollSoon();
	});
}

function show(room) {
	const old = view.room;
	if (old !== room) {
		if (old) {
			old.draft = draft.value;
			if (!old.unread) old.line = null;
		}
		setDraft(room.draft);
		rows = new Map();
		log.replaceChildren();
		assign(view, { room, stick: true });
		fault('');
	}
	const path = '/r/' + encodeURIComponent(room.name) + location.search;
	if (path !== location.pathname + location.search) history[old ? 'pushState' : 'replaceState'](null, '', path);
	toNewest();
}

// ---- The composer ----

const fault = text => put('draft-fault', text);

// Where the style sheet cannot do it.
function fit() {
	draft.rows = draft.value.split('\n').length;
}

function setDraft(text) {
	draft.value = text;
	fit();
}

function mention(name) {
	const before = draft.value.slice(0, draft.selectionStart);
	draft.setRangeText(`${/\S$/.test(before) ? ' ' : ''}@${name} `, draft.selectionStart, draft.selectionEnd, 'end');
	shut();
	draft.focus();
}

const COMMANDS = {
	me: text => say(view.room, text, true),
	join: text => (text ? openRoom(text.replace(/^"|"$/g, '')) : meetStranger()),
	leave: () => leaveRoom(view.room),
	search: text => openSearch(text),
};

function command(text) {
	const [, name, rest] = /^\/(\S*)\s*(.*)$/s.exec(text);
	if (COMMANDS[name]) return COMMANDS[name](rest);
	if (!wire.on || name === 'session') return fault('Commands need a connection; there is none now.');
	send({ op: 'switch', room: refOf(view.room), id: 'quiet' });
	wire.socket.send(text.replace(/\s*\n\s*/g, ' '));
}

async function submit() {
	const text = draft.value.trimEnd(), size = new TextEncoder().encode(JSON.stringify(text)).length, lines = text.split('\n').length;
	if (!text || view.room.isOver) return;
	if (size > BYTES_MAX) return fault(`This is too long: ${size} bytes, and ${BYTES_MAX} fit into one message.`);
	if (lines >= MANY_LINES && !await confirmLines(text, lines)) return draft.focus();
	fault('');
	setDraft('');
	if (/^\/(?!\/)/.test(text)) command(text);
	else say(view.room, text.replace(/^\/\//, '/'));
}

function confirmLines(text, lines) {
	const guard = $('guard');
	put('guard-title', `Send ${lines} lines to ${labelOf(view.room)}?`);
	put('guard-text', text.slice(0, 4000));
	guard.returnValue = 'no';
	guard.showModal();
	$('guard-yes').focus();
	return new Promise(resolve => { guard.onclose = () => resolve(guard.returnValue === 'yes'); });
}

function keyInDraft(event) {
	if (event.isComposing) return;
	const last = [...rows.values()].at(-1);
	if (event.key === 'Enter' && !event.shiftKey) submit();
	else if (event.key === 'ArrowUp' && !draft.value && last) last.focus();
	else return;
	event.preventDefault();
}

// The arrow keys go from message to message.
function keyInLog(event) {
	const step = { ArrowUp: 'previousElementSibling', ArrowDown: 'nextElementSibling' }[event.key], row = focused().closest('.row');
	if (!step) return;
	let next = row ? row[step] : log.lastElementChild;
	while (next && (!next.matches('.row') || next.hidden)) next = next[step];
	event.preventDefault();
	(next ?? (event.key === 'ArrowDown' ? draft : log)).focus();
}

// ---- Search ----

let searching = { words: '', page: 1 };

function openSearch(words = '') {
	$('search').showModal();
	$('search-words').value = words;
	if (words) search(words, 1);
}

async function search(text, page) {
	const mine = searching = { text, page };
	if (page === 1) $('found').replaceChildren();
	$('more').hidden = true;
	put('search-state', 'Searching …');
	const { events, error } = await ask({ op: 'search', words: text, page }), hits = [];
	if (searching !== mine) return;
	for (const event of events) {
		if (event.code === 'found') hits.push({ ...event, around: [] });
		else if (event.history) hits.at(-1)?.around.push(event);
	}
	$('found').append(...hits.map(hitItem));
	const ends = events.filter(({ code, kind }) => kind === 'notice' && !code).map(({ text }) => text), all = $('found').children.length;
	$('more').hidden = !ends.some(end => /^there is more/.test(end));
	put('search-state', error?.text ?? ends.find(end => /so new/.test(end)) ?? (all ? count(all, 'message') + ' found, newest first' : 'Nothing was found.'));
}

function hitItem({ room, seq, around }) {
	const at = around.find(event => event.seq === seq)?.at;
	const lines = around.map(event => make('span', event.seq === seq ? 'hit-line it' : 'hit-line', null, whoOf(event.participant),
		assign(make('span', '', event.text.replaceAll('\u2424', ' ')), { dir: 'auto' })));
	const go = () => { $('search').close(); goTo(roomNamed(room, true), seq); };
	return make('li', '', null, button(null, 'hit', go, make('span', 'hit-head', `# ${room}${at ? ' · ' + full.format(Date.parse(at)) : ''}`), ...lines));
}

// ---- Names, panels ----

function askName(reason) {
	const dialog = $('hello');
	$('hello-name').value = me.name || remember(localStorage, 'name') || '';
	put('hello-fault', reason);
	if (!dialog.open) dialog.showModal();
	$('hello-name').select();
}

async function nameGiven(event) {
	event.preventDefault();
	const name = $('hello-name').value.trim().replace(/\s+/g, ' ');
	if (!name) return;
	const error = wire.on && (await ask({ op: 'nick', name })).error;
	if (error) return put('hello-fault', error.text);
	$('hello').close();
	remember(localStorage, 'name', name);
	if (/[?&]name=/.test(location.search)) history.replaceState(null, '', '?name=' + encodeURIComponent(name));
	if (!wire.on) await come(name);
	draft.focus();
}

async function come(name) {
	setName(name);
	if (!me.session) await chooseSession();
	connect();
}

// The panels at the sides, where there is no place for them beside the messages.
function toggle(panel, opener) {
	panel.classList.add('open');
	opener.ariaExpanded = 'true';
	$('shade').hidden = false;
	panel.querySelector('[tabindex="0"]')?.focus();
	listRooms();
}

// Returns what opened the panel that was closed, if one was open.
function shut() {
	const panel = document.querySelector('.open'), opener = panel && $(panel.id === 'side' ? 'menu' : 'crowd');
	if (!panel) return null;
	panel.classList.remove('open');
	opener.ariaExpanded = 'false';
	$('shade').hidden = true;
	return opener;
}

function escape(event) {
	if (event.key !== 'Escape' || event.isComposing || document.querySelector('dialog[open]')) return;
	const opener = shut();
	if (opener) return opener.focus();
	if (focused() === draft) { view.room.line = null; toNewest(); }
	draft.focus();
}

// ---- Begin ----

const pathRoom = () => { try { return decodeURIComponent(/^\/r\/([^/]+)$/.exec(location.pathname)[1]); } catch { return 'lobby'; } };

// One file after the other, over the connection that works already: browsers keep others at hand, and the server greets who is silent on one.
function styled() {
	const link = assign(make('link'), { rel: 'stylesheet', href: '/chat.css' });
	document.head.append(link);
	return new Promise(resolve => on(link, 'load', resolve, 'error', resolve));
}

async function begin() {
	show(roomNamed(pathRoom(), true));
	for (const name of remember(sessionStorage, 'rooms') ?? []) roomNamed(name, true);
	me.notify = remember(localStorage, 'notify') && mayNotify();
	await Promise.all([styled(), store.open()]);
	$('app').hidden = false;
	setInterval(tick, 1000);
	setInterval(() => { if (wire.on && !document.hidden) { listRooms(); adopt(); } }, 20000);
	const name = new URLSearchParams(location.search).get('name')?.trim() || remember(localStorage, 'name');
	if (!name) return askName('');
	await come(name);
	if (calm()) draft.focus();
}

function on(target, ...pairs) {
	for (let at = 0; at < pairs.length; at += 2) target.addEventListener(pairs[at], pairs[at + 1]);
}

const formed = (id, does) => on($(id), 'submit', event => { event.preventDefault(); does(event); });
const clicked = (id, does) => on($(id), 'click', does);

formed('composer', submit);
formed('go', () => { const name = $('go-name').value.trim(); $('go-name').value = ''; if (!name) return; shut(); openRoom(name); draft.focus(); });
formed('search-form', () => { const words = $('search-words').value.trim(); if (words) search(words, 1); });
formed('hello-form', nameGiven);
formed('guard-form', event => $('guard').close(event.submitter?.value));
clicked('jump', () => { toNewest(); draft.focus(); });
clicked('menu', () => toggle($('side'), $('menu')));
clicked('crowd', () => toggle($('people'), $('crowd')));
clicked('stranger', () => { shut(); meetStranger(); draft.focus(); });
clicked('bell', toggleBell);
clicked('find', () => openSearch());
clicked('more', () => search(searching.text, searching.page + 1));
clicked('rename', () => { shut(); askName(''); });
clicked('banner-button', () => { wire.stopped = ''; probe(); });
clicked('log', ({ target }) => { if (target.matches('.who') && getSelection().isCollapsed) mention(target.textContent); });
for (const id of ['shade', 'side-close', 'people-close']) clicked(id, () => shut()?.focus());
clicked('search-close', () => $('search').close());
for (const id of ['yours', 'others', 'people-list']) on($(id), 'keydown', rove);
on(draft, 'keydown', keyInDraft, 'input', fit);
on(log, 'keydown', keyInLog, 'scroll', scrollSoon);
on($('hello'), 'cancel', event => { if (!wire.on) event.preventDefault(); });
on(document, 'keydown', escape, 'visibilitychange', () => { if (!document.hidden) { probe(); refresh(); } });
on(window, 'focus', refresh, 'online', probe, 'offline', probe, 'pageshow', ({ persisted }) => persisted && probe(), 'popstate', () => openRoom(pathRoom()));
new ResizeObserver(() => { if (view.stick) log.scrollTop = log.scrollHeight; }).observe(log);

begin();
