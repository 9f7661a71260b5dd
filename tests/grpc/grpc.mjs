// Cases for test_grpc.py: a server's gRPC as @grpc/grpc-js speaks it, beside clients of lines. Usage: node grpc.mjs CASE
//
// Environment: PACKAGES, the folder with the packages of package.json; PROTO, the folder with the protos; PORT and PID of the server;
// CERTIFICATE, a file that vouches for it, if it is to be spoken to through TLS; BUILD_KIND.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

const { BUILD_KIND, CERTIFICATE, PACKAGES, PID, PORT, PROTO } = process.env;
const require = createRequire(path.join(PACKAGES, 'package.json'));
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { status } = grpc;
const DEADLINE = 30000 * ({ asan: 3, tsan: 6 }[BUILD_KIND] ?? 1);
const MAX_LINE = 65535;

function check(condition, text) {
	if (!condition) throw new Error(text);
}

function same(got, wanted, text) {
	const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
	check(left === right, `${text}: expected ${right?.slice(0, 500)}, got ${left?.slice(0, 500)}`);
}

// What comes one after the other, and an end; who reads waits for it.
class Inbox {
	constructor(what) {
		this.what = what;
		this.things = [];
		this.waiting = null;
		this.end = null;
	}

	put(thing) {
		this.things.push(thing);
		this.waiting?.();
	}

	finish(end) {
		this.end = end;
		this.waiting?.();
	}

	async some() {
		if (this.things.length > 0 || this.end) return;
		await new Promise((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`${this.what} waited ${DEADLINE} ms`)), DEADLINE);
			this.waiting = () => { clearTimeout(timer); this.waiting = null; resolve(); };
		});
	}

	async next() {
		await this.some();
		check(this.things.length > 0, `${this.what} has ended: ${JSON.stringify(this.end)}`);
		return this.things.shift();
	}

	async ended() {
		await this.some();
		same(this.things, [], `${this.what} was to end`);
		return this.end;
	}
}

// ---- Clients of lines. ----

class Lines extends Inbox {
	static async join(name) {
		const lines = new Lines(`the line client ${name}`);
		const at = { host: '127.0.0.1', port: PORT };
		lines.socket = CERTIFICATE ? tls.connect({ ...at, servername: 'localhost', ca: fs.readFileSync(CERTIFICATE) }) : net.connect(at);
		let rest = '';
		lines.socket.setEncoding('utf8').on('data', data => {
			const parts = (rest + data).split('\n');
			rest = parts.pop();
			parts.forEach(line => lines.put(line));
		}).on('end', () => lines.finish('end')).on('error', error => lines.finish(error.message));
		lines.say(name);
		const welcome = await lines.next();
		check(welcome.startsWith(`* Welcome ${name} `), welcome);
		return lines;
	}

	say(text) {
		this.socket.write(`${text}\n`);
	}

	async expect(...wanted) {
		for (const line of wanted) {
			const got = await this.next();
			check(line instanceof RegExp ? line.test(got) : line === got, `${this.what}: expected ${line}, got ${got.slice(0, 500)}`);
		}
	}

	close() {
		this.socket.destroy();
	}
}

// ---- Clients of gRPC. ----

const load = name => grpc.loadPackageDefinition(loader.loadSync(name, { includeDirs: [PROTO], keepCase: true, enums: String, longs: Number }));
const { rpc } = load('rpc/chat.proto');
const health = load('grpc/health/v1/health.proto').grpc.health.v1;
const tcpchat = load('tcpchat/v1/chat.proto').tcpchat.v1;

function client(kind = rpc.ChatService, options = {}) {
	const credentials = CERTIFICATE ? grpc.credentials.createSsl(fs.readFileSync(CERTIFICATE)) : grpc.credentials.createInsecure();
	return new kind(`127.0.0.1:${PORT}`, credentials, { 'grpc.enable_http_proxy': 0, 'grpc.use_local_subchannel_pool': 1,
		...(CERTIFICATE && { 'grpc.ssl_target_name_override': 'localhost' }), ...options });
}

const ask = (on, method, request) => new Promise((resolve, reject) => {
	on[method](request, { deadline: Date.now() + DEADLINE }, (error, answer) => error ? reject(error) : resolve(answer));
});

async function refused(promise, code, details) {
	const error = await promise.then(answer => { throw new Error(`answered: ${JSON.stringify(answer)}`); }, error => error);
	same([error.code, error.details], [code, details], 'the call was to fail');
}

class Call extends Inbox {
	constructor(what, stream) {
		super(what);
		this.stream = stream;
		stream.on('data', message => this.put(message)).on('error', () => { /* its status tells */ })
			.on('status', ({ code, details }) => this.finish({ code, details }));
	}

	say(text) {
		this.stream.write({ message: { message: text } });
	}

	async expect(...wanted) {
		for (const [name, message] of wanted) same(await this.next(), { name, message }, this.what);
	}

	async over(code, details) {
		const end = await this.ended();
		same([end.code, details === undefined ? undefined : end.details], [code, details], this.what);
	}
}

function chat(on, join, options = {}) {
	const call = new Call(`the call of ${join?.name}`, on.Chat(new grpc.Metadata(), options));
	if (join) call.stream.write({ join });
	return call;
}

// Has joined and heard of it.
async function joined(on, name, room_id = 'lobby', options = {}) {
	const call = chat(on, { room_id, name }, options);
	for (; ;) { // what was said before comes first
		const message = await call.next();
		if (message.name === name && message.message === 'Has entered the chat') return call;
	}
}

// ---- Cases. ----

const cases = {
	async lines() {
		const tom = await Lines.join('tom');
		const on = client();
		const ann = chat(on, { room_id: 'lobby', name: 'ann' });
		await ann.expect(['ann', 'Has entered the chat']);
		await tom.expect('User "ann" just joined the chat!');
		for (const text of ['hello', 'two\twords', 'grüße 😀', '/quit', '//x', '0', ' ']) {
			ann.say(text);
			await tom.expect(`ann: ${text}`);
		}
		tom.say('hi');
		tom.say('/me waves');
		await tom.expect('tom: hi', '~ tom waves');
		await ann.expect(['tom', 'hi'], ['tom', '~ waves']);
		tom.say('/quit');
		await ann.expect(['tom', 'Has left the chat']);
		const bob = await Lines.join('bob');
		await ann.expect(['bob', 'Has entered the chat']);
		ann.stream.cancel();
		await ann.over(status.CANCELLED);
		await bob.expect(/^User "ann" just left the chat/);
		bob.close();
		on.close();
	},

	async half() {
		const tom = await Lines.join('tom');
		const on = client();
		const ann = await joined(on, 'ann');
		await tom.expect('User "ann" just joined the chat!');
		ann.say('my last word');
		ann.stream.end();
		await tom.expect('ann: my last word');
		for (let number = 0; number < 20; number++) {
			tom.say(`are you there? ${number}`);
			await tom.expect(`tom: are you there? ${number}`);
			await ann.expect(['tom', `are you there? ${number}`]);
		}
		ann.stream.cancel();
		await tom.expect(/^User "ann" just left the chat/);
		tom.close();
		on.close();
	},

	async rooms() {
		const on = client();
		const listed = async () => (await ask(on, 'ListChatRooms', {})).chat_rooms.map(room => room.room_id);
		const before = await listed();
		const { room_id: open } = await ask(on, 'CreateChatRoom', {});
		const { room_id: hidden } = await ask(on, 'CreateChatRoom', { private: true });
		for (const id of [open, hidden]) check(/^[0-9a-f]{20}$/.test(id), id);
		same((await listed()).sort(), [...before, open].sort(), 'the rooms');
		for (const id of [open, hidden]) {
			const [ann, bob] = [await joined(on, 'ann', id), await joined(on, 'bob', id)];
			await ann.expect(['bob', 'Has entered the chat']);
			ann.say('hello');
			await bob.expect(['ann', 'hello']);
			same(await ask(on, 'DeleteChatRoom', { room_id: id }), { room_id: id }, 'the deleted room');
			for (const call of [ann, bob]) {
				await call.expect(['chat server', 'chat room is closing']);
				await call.over(status.OK);
			}
			await refused(ask(on, 'DeleteChatRoom', { room_id: id }), status.NOT_FOUND, 'chat room ID does not exist');
			await chat(on, { room_id: id, name: 'ann' }).over(status.NOT_FOUND, 'room ID does not exist');
		}
		same((await listed()).sort(), before.sort(), 'the rooms');
		on.close();
	},

	async refusals() {
		const on = client();
		await chat(on, { room_id: 'nowhere', name: 'ann' }).over(status.NOT_FOUND, 'room ID does not exist');
		const early = chat(on);
		early.say('without a join');
		await early.over(status.NOT_FOUND, 'room ID does not exist');
		const none = chat(on);
		none.stream.end();
		await none.over(status.INTERNAL, 'Failed to read initial join request');
		await chat(on, { room_id: 'lobby', name: 'a\u0000b' }).over(status.INVALID_ARGUMENT);
		// The same names, twice.
		const [one, other] = [await joined(on, 'ann'), chat(on, { room_id: 'lobby', name: 'ann' })];
		const { name, message } = await other.next();
		check(/^ann#[0-9a-f]{6}$/.test(name) && message === 'Has entered the chat', `${name} ${message}`);
		await one.expect([name, message]);
		const nothing = (kind, method) => on.makeUnaryRequest(`/${kind}/${method}`, () => Buffer.alloc(0), bytes => bytes, {}, () => {});
		for (const [kind, method] of [['rpc.ChatService', 'Nothing'], ['rpc.Nothing', 'Chat']])
			await new Call('an unknown method', nothing(kind, method)).over(status.UNIMPLEMENTED);
		one.stream.cancel();
		other.stream.cancel();
		on.close();
		const gzip = client(rpc.ChatService, { 'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip });
		await new Call('who compresses', gzip.CreateChatRoom({ private: true }, () => {})).over(status.UNIMPLEMENTED);
		gzip.close();
	},

	// Beside pings, which libraries send to see that the server is there.
	async deadlines() {
		const tom = await Lines.join('tom');
		const on = client(rpc.ChatService, { 'grpc.keepalive_time_ms': 50, 'grpc.keepalive_timeout_ms': DEADLINE });
		const ann = await joined(on, 'ann', 'lobby', { deadline: Date.now() + 1000 });
		await tom.expect('User "ann" just joined the chat!');
		await ann.over(status.DEADLINE_EXCEEDED);
		await tom.expect(/^User "ann" just left the chat/);
		const bob = await joined(on, 'bob', 'lobby', { deadline: Date.now() + DEADLINE });
		await tom.expect('User "bob" just joined the chat!');
		bob.say('I have time');
		await tom.expect('bob: I have time');
		bob.stream.cancel();
		await bob.over(status.CANCELLED);
		await tom.expect(/^User "bob" just left the chat/);
		const carl = await joined(on, 'carl');
		await tom.expect('User "carl" just joined the chat!');
		on.close(); // the connection goes when its calls have gone
		carl.say('still here');
		await tom.expect('carl: still here');
		carl.stream.cancel();
		await tom.expect(/^User "carl" just left the chat/);
		tom.close();
	},

	async many() {
		const count = 90;
		const tom = await Lines.join('tom');
		const on = client();
		const calls = await Promise.all(Array.from({ length: count }, (_, number) => joined(on, `member${number}`)));
		const answers = await Promise.all(Array.from({ length: 300 }, () => ask(on, 'ListChatRooms', {})));
		same(answers.length, 300, 'calls beside the streams');
		calls.forEach((call, number) => { for (let text = 0; text < 5; text++) call.say(`${number} says ${text}`); });
		const said = [];
		while (said.length < 5 * count) {
			const line = await tom.next();
			if (line.startsWith('member')) said.push(line);
		}
		await Promise.all(calls.map(async (call, number) => {
			const own = `member${number}: `;
			const wanted = said.filter(line => !line.startsWith(own));
			const heard = [];
			while (heard.length < wanted.length) {
				const { name, message } = await call.next();
				if (message !== 'Has entered the chat') heard.push(`${name}: ${message}`);
			}
			same(heard, wanted, own);
		}));
		calls.forEach(call => call.stream.cancel());
		const left = new Set();
		while (left.size < count) {
			const match = /^User "(\w+)" just left the chat/.exec(await tom.next());
			if (match) left.add(match[1]);
		}
		tom.close();
		on.close();
	},

	// More than the server takes at once over one connection: the library waits until others have ended.
	async crowded() {
		const on = client();
		const rest = Array.from({ length: 130 }, (_, number) => chat(on, { room_id: 'lobby', name: `member${number}` }));
		await Promise.all(rest.map(async call => {
			await call.next();
			call.stream.cancel();
		}));
		on.close();
	},

	async sizes() {
		const tom = await Lines.join('tom');
		const on = client();
		const ann = await joined(on, 'ann');
		await tom.expect('User "ann" just joined the chat!');
		for (const size of [1, 125, 16384, MAX_LINE]) {
			ann.say('x'.repeat(size));
			await tom.expect(`ann: ${'x'.repeat(size)}`);
			tom.say('y'.repeat(size));
			await tom.expect(`tom: ${'y'.repeat(size)}`);
			await ann.expect(['tom', 'y'.repeat(size)]);
		}
		ann.say('x'.repeat(MAX_LINE + 1));
		const { name, message } = await ann.next();
		check(name === 'chat server' && /^[a-z-]+: .*65535/.test(message), `${name} ${message}`);
		ann.say('and on');
		await tom.expect('ann: and on');
		ann.say('x'.repeat(5 * MAX_LINE));
		await ann.over(status.RESOURCE_EXHAUSTED);
		await tom.expect(/^User "ann" just left the chat/);
		tom.close();
		on.close();
	},

	// Who does not read for a while gets all, in order; nobody waits for it, nor does another call over the same connection.
	async slow() {
		const tom = await Lines.join('tom');
		const on = client();
		const bob = await joined(on, 'bob');
		const ann = await joined(on, 'ann');
		await bob.expect(['ann', 'Has entered the chat']);
		await tom.expect('User "bob" just joined the chat!', 'User "ann" just joined the chat!');
		ann.stream.pause();
		const count = 4000;
		const text = number => `${number} ${'z'.repeat(2000)}`;
		for (let number = 0; number < count; number++) {
			tom.say(text(number));
			await tom.expect(`tom: ${text(number)}`);
			await bob.expect(['tom', text(number)]);
		}
		ann.stream.resume();
		for (let number = 0; number < count; number++) await ann.expect(['tom', text(number)]);
		ann.say('I have read it all');
		await tom.expect('ann: I have read it all');
		await bob.expect(['ann', 'I have read it all']);
		ann.stream.cancel();
		bob.stream.cancel();
		tom.close();
		on.close();
	},

	async health() {
		const on = client(health.Health);
		for (const service of ['', 'rpc.ChatService', 'tcpchat.v1.Chat', 'grpc.health.v1.Health'])
			same(await ask(on, 'Check', { service }), { status: 'SERVING' }, `the health of "${service}"`);
		await refused(ask(on, 'Check', { service: 'rpc.Catalog' }), status.NOT_FOUND, 'unknown service');
		on.close();
	},

	async ours() {
		const tom = await Lines.join('tom');
		const on = client(tcpchat.Chat);
		const { seq, name } = await ask(on, 'Send', { name: 'ann', text: 'hello' });
		await tom.expect('ann: hello');
		same(name, 'ann', 'the name');
		const reader = new Call('who subscribed', on.Subscribe({ after: 0 }));
		const first = async (kind, text) => {
			for (; ;) {
				const event = await reader.next();
				if (event.kind === kind && event.text === text) return event;
			}
		};
		const event = await first('KIND_MESSAGE', 'hello');
		same([event.participant, event.seq], ['ann', seq], 'the event');
		tom.say('hi');
		same((await first('KIND_MESSAGE', 'hi')).participant, 'tom', 'who said hi');
		reader.stream.cancel();
		const call = new Call('who talks', on.Talk());
		call.stream.write({ id: 1, session: { session: '0123456789abcdef0123456789abcdef', name: 'bob' } });
		same((await call.next()).kind, 'KIND_WELCOME', 'the first event');
		call.stream.write({ id: 2, send: { text: 'hello from bob' } });
		for (const line of ['tom: hi', 'User "bob" just joined the chat!', 'bob: hello from bob']) await tom.expect(line);
		call.stream.cancel();
		tom.close();
		on.close();
	},

	async stop() {
		const tom = await Lines.join('tom');
		const on = client();
		const [ann, bob] = [await joined(on, 'ann'), await joined(on, 'bob')];
		const watch = new Call('who watches', client(health.Health).Watch({}));
		same(await watch.next(), { status: 'SERVING' }, 'the health');
		await ann.expect(['bob', 'Has entered the chat']);
		ann.stream.end(); // half closed
		process.kill(Number(PID), 'SIGTERM');
		for (const call of [ann, bob]) {
			await call.expect(['chat server', 'the server is stopping']);
			await call.over(status.UNAVAILABLE, 'the server is stopping');
		}
		same(await watch.next(), { status: 'NOT_SERVING' }, 'the health');
		await watch.over(status.UNAVAILABLE);
		on.close();
		tom.close();
	},
};

try {
	await cases[process.argv[2]]();
	process.exit(0);
} catch (error) {
	console.error(error);
	process.exit(1);
}
