// What the cases of page.mjs share: a real server, a proxy that cuts, a client of lines, and a browser.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const { chromium } = createRequire(path.join(process.env.PACKAGES, 'package.json'))('playwright-core');
const SLOW = { asan: 3, tsan: 6 }[process.env.BUILD_KIND] ?? 1;
export const DEADLINE = 30000 * SLOW;

export function check(condition, text) {
	if (!condition) throw new Error(text);
}

export function same(got, wanted, text) {
	const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
	check(left === right, `${text}: expected ${right.slice(0, 1500)}, got ${left.slice(0, 1500)}`);
}

// Asks again until it is so; for what nobody tells.
export async function until(condition, text, ms = DEADLINE) {
	for (const end = Date.now() + ms; ;) {
		const result = await condition();
		if (result) return result;
		check(Date.now() < end, `waited ${ms} ms for: ${typeof text === 'function' ? await text() : text}`);
		await new Promise(resolve => setTimeout(resolve, 20));
	}
}

const endings = [];

export function atEnd(does) {
	endings.push(does);
}

export async function end() {
	for (const does of endings.reverse()) await does();
}

// A server on a free port, with a folder of its own; it keeps the port when it is started again.
export class Server {
	static async start(...options) {
		const server = new Server();
		server.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tcpchat-web-'));
		server.options = options;
		server.port = 0;
		atEnd(() => server.end());
		await server.start();
		return server;
	}

	async start() {
		const journal = this.options.includes('--journal') ? [] : ['--journal', 'sqlite:chat.db'];
		const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('CHAT_')));
		this.process = spawn(process.env.TCPSERVER, ['--listen', `127.0.0.1:${this.port}`, ...journal, ...this.options],
			{ cwd: this.folder, env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
		this.ended = new Promise(resolve => this.process.on('exit', (code, signal) => resolve(code ?? signal)));
		this.log = '';
		const collect = data => { this.log += data; };
		this.process.stdout.on('data', collect);
		this.process.stderr.on('data', collect);
		await until(() => /listening.*?127\.0\.0\.1:(\d+)/.test(this.log), () => `the server's port; it said ${this.log}`);
		this.port = Number(/listening.*?127\.0\.0\.1:(\d+)/.exec(this.log)[1]);
	}

	get origin() {
		return `http://127.0.0.1:${this.port}`;
	}

	async kill() {
		this.process.kill('SIGKILL');
		await this.ended;
	}

	async end() {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			this.process.kill('SIGTERM');
			const code = await this.ended;
			check(code === 0 && !/Sanitizer/.test(this.log), `the server ended with ${code}: ${this.log.slice(-4000)}`);
		}
		fs.rmSync(this.folder, { recursive: true, force: true });
	}
}

// Passes bytes on, and resets its connections when it is told to; closed, it lets nobody in.
export class Proxy {
	static async to(port) {
		const proxy = new Proxy();
		proxy.links = new Set();
		proxy.cuts = 0;
		proxy.open = true;
		proxy.listener = net.createServer(client => {
			if (!proxy.open) return client.resetAndDestroy();
			const server = net.connect(port, '127.0.0.1'), link = { client, server };
			proxy.links.add(link);
			for (const [from, to] of [[client, server], [server, client]]) {
				from.setNoDelay(true);
				from.on('data', data => to.write(data));
				from.on('error', () => {});
				from.on('close', () => { to.destroy(); proxy.links.delete(link); });
			}
		});
		await new Promise(resolve => proxy.listener.listen(0, '127.0.0.1', resolve));
		proxy.port = proxy.listener.address().port;
		proxy.origin = `http://127.0.0.1:${proxy.port}`;
		atEnd(() => { proxy.cut(); proxy.listener.close(); });
		return proxy;
	}

	cut() {
		this.cuts++;
		for (const { client, server } of this.links) {
			client.resetAndDestroy();
			server.resetAndDestroy();
		}
	}
}

// A client of lines, as telnet is; with events() it reads JSON.
export class Telnet {
	static async join(server, name, ...lines) {
		const telnet = new Telnet();
		telnet.lines = [];
		telnet.rest = '';
		telnet.socket = net.connect(server.port, '127.0.0.1');
		telnet.socket.setEncoding('utf8');
		telnet.socket.setNoDelay(true);
		telnet.socket.on('error', () => {});
		telnet.socket.on('data', data => {
			const all = (telnet.rest + data).split('\n');
			telnet.rest = all.pop();
			telnet.lines.push(...all);
		});
		atEnd(() => telnet.socket.destroy());
		telnet.say(name);
		for (const line of lines) telnet.say(line);
		await telnet.answer();
		return telnet;
	}

	say(text) {
		this.socket.write(text + '\n');
	}

	// Everything that was said before has been carried out.
	async answer() {
		const mark = 'm' + Math.random();
		this.say('/ping ' + mark);
		await until(() => this.lines.some(line => line.includes(mark)), `an answer to /ping; there is ${this.lines.slice(-3)}`);
	}

	events() {
		return this.lines.filter(line => line.startsWith('{')).map(line => JSON.parse(line));
	}

	// What was said in a room: [seq, name, text].
	said(room = 'lobby') {
		return this.events().filter(event => event.kind === 'message' && event.room === room).map(({ seq, participant, text }) => [seq, participant, text]);
	}

	// All that was ever said there, as the server has it now.
	static async record(server, room = 'lobby') {
		const telnet = await Telnet.join(server, 'record' + Math.floor(Math.random() * 1e6), '/events', `/join ${room} --history all`);
		await telnet.answer();
		const said = telnet.said(room);
		telnet.socket.destroy();
		return said;
	}
}

let browser;

export async function context(options = {}) {
	browser ??= await chromium.launch({ executablePath: process.env.BROWSER, args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'] });
	if (!endings.includes(closeBrowser)) atEnd(closeBrowser);
	const made = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-GB', ...options });
	made.setDefaultTimeout(DEADLINE);
	return made;
}

const closeBrowser = () => browser.close();

// A page in a room; what its own code complains about ends the test.
export async function open(where, { room = 'lobby', name, origin, ready = true } = {}) {
	const page = await where.newPage();
	page.faults = [];
	page.dialogs = [];
	page.on('pageerror', error => page.faults.push(error.stack));
	page.on('console', message => { if (/Content Security Policy|Refused to/.test(message.text())) page.faults.push(message.text()); });
	page.on('dialog', dialog => { page.dialogs.push(dialog.message()); dialog.dismiss(); });
	await page.goto(`${origin}/r/${encodeURIComponent(room)}${name ? '?name=' + encodeURIComponent(name) : ''}`);
	if (ready) await connected(page);
	return page;
}

export const connected = page => page.waitForFunction(() => document.querySelector('#me-state')?.textContent === 'connected' && !document.querySelector('#app.off'));

export async function say(page, text) {
	await page.fill('#draft', text);
	await page.press('#draft', 'Enter');
}

export const pending = page => page.locator('.row.pending:not([hidden]), .row.said').count();
export const allSaid = page => until(async () => await pending(page) === 0, async () => `nothing to be pending; there is ${await page.locator('.row.pending').allTextContents()}`);

// The rows with a number that are drawn now: [seq, text].
export const rows = page => page.evaluate(() => [...document.querySelectorAll('.row[data-seq]:not(.aside)')].map(row => [Number(row.dataset.seq), row.querySelector('.text').textContent]));

// All rows, from the last to the first, by scrolling up to where it begins.
export async function allRows(page) {
	const found = new Map();
	await page.locator('#log').focus();
	await until(async () => {
		for (const [seq, text] of await rows(page)) {
			check(!found.has(seq) || found.get(seq) === text, `message ${seq} is ${found.get(seq)}, and ${text}`);
			found.set(seq, text);
		}
		return page.evaluate(() => {
			const log = document.querySelector('#log');
			const done = log.scrollTop === 0 && /begins/.test(log.firstElementChild?.textContent);
			log.scrollTop = 0;
			return done;
		});
	}, 'the begin of the history', 4 * DEADLINE);
	for (const [seq, text] of await rows(page)) found.set(seq, text);
	return [...found].sort(([left], [right]) => left - right);
}

export async function run(cases) {
	const name = process.argv[2];
	let fault = null;
	try {
		check(cases[name], `there is no case ${name}`);
		await cases[name]();
	} catch (error) {
		fault = error;
	}
	await end().catch(error => { fault ??= error; });
	if (fault) console.log(fault.stack ?? fault);
	process.exit(fault ? 1 : 0);
}
