// The cases of test_page.py, one a run: node page.mjs CASE. Environment: TCPSERVER, BROWSER, PACKAGES, BUILD_KIND.

import fs from 'node:fs';
import path from 'node:path';

import { Proxy, Server, Telnet, allRows, allSaid, check, connected, context, open, pending, rows, run, same, say, until } from './browser.mjs';
import { markup, nasty } from './strings.mjs';

const texts = list => list.map(([, text]) => text);
const range = count => [...Array(count).keys()];
const clean = page => { same(page.faults, [], 'faults of the page'); same(page.dialogs, [], 'dialogs'); };
const told = page => page.evaluate(() => document.querySelector('#tell').textContent);

// Both pages, and what the server has, are the same, in the same order.
async function agree(server, pages, count) {
	const record = await Telnet.record(server);
	same(record.length, count, 'messages kept');
	same(new Set(record.map(([, , text]) => text)).size, count, 'different messages kept');
	for (const page of pages) {
		same(await allRows(page), record.map(([seq, , text]) => [seq, text]), 'what a page shows');
		clean(page);
	}
	return record;
}

// What one page was to say, in the order in which it said it.
function inOrder(record, prefix) {
	const said = record.map(([, , text]) => text).filter(text => text.startsWith(prefix));
	same(said, said.toSorted((left, right) => Number(left.slice(prefix.length)) - Number(right.slice(prefix.length))), `the order of ${prefix}`);
}

// Where the boxes stand that are wider than the window.
const tooWide = page => page.evaluate(() => [...document.querySelectorAll('body *')].filter(element => {
	const box = element.getBoundingClientRect();
	return box.width > 0 && getComputedStyle(element).visibility !== 'hidden' && !element.closest('.sr, svg') && (box.right > innerWidth + 1 || box.left < -1);
}).map(element => element.outerHTML.slice(0, 120)));

const cases = {
	async numbers() {
		const server = await Server.start();
		const telnet = await Telnet.join(server, 'tom', '/events'), plain = await Telnet.join(server, 'una');
		const ann = await open(await context(), { origin: server.origin, name: 'ann' }), bob = await open(await context(), { origin: server.origin, name: 'bob' });
		for (const turn of range(10)) {
			await say(ann, `ann ${turn}`);
			telnet.say(`tom ${turn}`);
			await say(bob, `bob ${turn}`);
		}
		await until(() => telnet.said().length === 30, 'thirty messages');
		const wanted = telnet.said().map(([seq, , text]) => [seq, text]);
		for (const page of [ann, bob]) await until(async () => JSON.stringify(await rows(page)) === JSON.stringify(wanted), async () => `the same rows: ${JSON.stringify(await rows(page))}`);
		await until(() => plain.lines.filter(line => /^(ann|bob|tom): /.test(line)).length === 30, 'thirty lines');
		same(plain.lines.filter(line => /^(ann|bob|tom): /.test(line)).map(line => line.slice(5)), texts(wanted), 'what telnet shows');
		for (const page of [ann, bob]) { same(await pending(page), 0, 'rows that still wait'); clean(page); }
	},

	async cuts() {
		const server = await Server.start(), proxy = await Proxy.to(server.port);
		const [ann, bob] = [await open(await context(), { origin: proxy.origin, name: 'ann' }), await open(await context(), { origin: proxy.origin, name: 'bob' })];
		const telnet = await Telnet.join(server, 'tom', '/events');
		for (const turn of range(250)) {
			await say(ann, `ann ${turn}`);
			await say(bob, `bob ${turn}`);
			if (turn % 12 !== 7 || proxy.cuts === 20) continue;
			proxy.cut();
			if (turn % 24 === 7) await Promise.all([connected(ann), connected(bob)]); // else more is said meanwhile
		}
		while (proxy.cuts < 20) { await Promise.all([connected(ann), connected(bob)]); proxy.cut(); }
		await Promise.all([connected(ann), connected(bob)]);
		await allSaid(ann);
		await allSaid(bob);
		await until(() => telnet.said().length >= 500, () => `500 messages; there are ${telnet.said().length}`);
		const record = await agree(server, [ann, bob], 500);
		same(telnet.said(), record, 'what telnet shows');
		for (const prefix of ['ann ', 'bob ']) inOrder(record, prefix);
		same(new Set(record.map(([, name]) => name)).size, 2, 'names that were used');
		console.log(`${proxy.cuts} cuts, 500 messages`);
	},

	async kill() {
		const server = await Server.start();
		const [ann, bob] = [await open(await context(), { origin: server.origin, name: 'ann' }), await open(await context(), { origin: server.origin, name: 'bob' })];
		for (const turn of range(60)) {
			await say(ann, `ann ${turn}`);
			await say(bob, `bob ${turn}`);
			if (turn === 30) await server.kill();
			if (turn === 45) await server.start();
		}
		await Promise.all([connected(ann), connected(bob)]);
		await allSaid(ann);
		await allSaid(bob);
		const record = await agree(server, [ann, bob], 120);
		for (const prefix of ['ann ', 'bob ']) inOrder(record, prefix);
	},

	async outbox() {
		const server = await Server.start(), proxy = await Proxy.to(server.port);
		const where = await context(), page = await open(where, { origin: proxy.origin, name: 'ann' });
		await say(page, 'while online');
		await until(async () => texts(await rows(page)).includes('while online'), 'what is said online'); // a row is drawn a moment later
		proxy.open = false;
		proxy.cut();
		await page.waitForSelector('#app.off');
		for (const turn of range(5)) await say(page, `offline ${turn}`);
		await until(async () => await pending(page) === 5, 'five rows that wait');
		await until(async () => /5 messages will be said then/.test(await page.textContent('#banner')), () => page.textContent('#banner'));
		await page.close();
		proxy.open = true;
		const again = await open(where, { origin: proxy.origin, name: 'ann' });
		await until(async () => texts(await rows(again)).includes('offline 4'), 'what was left unsaid');
		await allSaid(again);
		await again.close();
		const third = await open(where, { origin: proxy.origin, name: 'ann' });
		await say(third, 'later');
		await allSaid(third);
		const record = await agree(server, [third], 7);
		same(texts(record.map(([seq, , text]) => [seq, text])), ['while online', ...range(5).map(turn => `offline ${turn}`), 'later'], 'what was said');
	},

	async tabs() {
		const server = await Server.start(), proxy = await Proxy.to(server.port), where = await context();
		const first = await open(where, { origin: server.origin, name: 'ann' }), second = await open(where, { origin: proxy.origin, name: 'ann' });
		const third = await open(where, { origin: server.origin, name: 'ann' });
		for (const turn of range(20)) {
			await say(first, `first ${turn}`);
			await say(third, `third ${turn}`);
			await say(second, `second ${turn}`);
		}
		for (const page of [first, second, third]) await allSaid(page);
		// A tab that is closed with words unsaid: another one of the same server says them, once. The network is gone for both meanwhile.
		const fourth = await open(where, { origin: proxy.origin, name: 'ann' });
		proxy.open = false;
		proxy.cut();
		await fourth.waitForSelector('#app.off');
		await say(fourth, 'fourth 0');
		await until(async () => await pending(fourth) === 1, 'a row that waits');
		await fourth.close();
		proxy.open = true;
		await connected(second);
		await until(async () => texts(await rows(second)).includes('fourth 0'), 'the words of the closed tab');
		await say(second, 'second 20');
		for (const page of [first, second, third]) await allSaid(page);
		const record = await agree(server, [first, second, third], 62);
		for (const prefix of ['first ', 'second ', 'third ', 'fourth ']) inOrder(record, prefix);
	},

	async refused() {
		const server = await Server.start();
		const other = await Telnet.join(server, 'tom', '/join tea');
		const page = await open(await context(), { origin: server.origin, name: 'ann' });
		await say(page, 'x'.repeat(70000));
		check(/too long/.test(await page.textContent('#draft-fault')), 'a message too long is refused before it is sent');
		await page.fill('#draft', '');
		await page.click('#others a:has-text("tea")');
		await page.waitForFunction(() => document.querySelector('#room-name').textContent === 'tea');
		await connected(page);
		await until(async () => (await page.textContent('#people-list')).includes('tom'), 'the people there');
		await page.evaluate(() => { // what is said just when the room is closed
			const send = WebSocket.prototype.send;
			WebSocket.prototype.send = function (data) {
				if (typeof data !== 'string' || !data.includes('"op":"send"')) return send.call(this, data);
				WebSocket.prototype.send = send;
				send.call(this, '{"op":"leave","room":"tea"}');
				return send.call(this, data);
			};
		});
		await say(page, 'into the void');
		const row = page.locator('.row.refused');
		await row.waitFor();
		check(/Not said: .*not in tea/.test(await row.textContent()), await row.textContent());
		check(/Not said/.test(await told(page)), 'a screen reader hears of it');
		await row.locator('button:has-text("Remove")').click();
		await until(async () => await page.locator('.row.refused').count() === 0, 'it to go');
		other.say('hello');
		await other.answer();
		check(!other.lines.some(line => line.includes('void')), 'nobody heard it');
		clean(page);
	},

	async axe() {
		const axe = fs.readFileSync(path.join(process.env.PACKAGES, 'node_modules/axe-core/axe.min.js'), 'utf8');
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom'), una = await Telnet.join(server, 'una', '/join tea', '/topic green or black');
		for (const text of ['hello ann', 'see https://example.org/ and @ann', '/me waves', '/topic this and that']) tom.say(text);
		await tom.answer();
		await una.answer();
		let looked = 0;
		const look = async (page, what) => {
			const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
			looked++;
			same(result.violations.map(({ id, nodes }) => [id, nodes.map(({ html, failureSummary }) => [html.slice(0, 200), failureSummary])]), [], `violations, ${what}`);
		};
		for (const [colorScheme, width, height] of [['light', 1280, 800], ['dark', 1280, 800], ['light', 390, 844], ['dark', 320, 640]]) {
			const what = `${colorScheme} ${width}`, where = await context({ colorScheme, viewport: { width, height }, bypassCSP: true });
			await where.addInitScript(axe);
			const proxy = await Proxy.to(server.port);
			const page = await open(where, { origin: proxy.origin, ready: false });
			await page.waitForSelector('#hello[open]');
			await look(page, what + ', asked for a name');
			await page.fill('#hello-name', 'ann');
			await page.press('#hello-name', 'Enter');
			await connected(page);
			await until(async () => (await rows(page)).length >= 3, 'messages');
			await say(page, 'one\ntwo');
			await allSaid(page);
			await look(page, what);
			await page.locator('.row').last().focus();
			await look(page, what + ', a message focused');
			if (width < 760) {
				for (const [opener, panel] of [['#menu', '#side'], ['#crowd', '#people']]) {
					await page.click(opener);
					await page.waitForSelector(panel + '.open');
					await look(page, what + ', ' + panel);
					await page.keyboard.press('Escape');
				}
			}
			await page.click('#find');
			await page.fill('#search-words', 'hello');
			await page.press('#search-words', 'Enter');
			await page.waitForFunction(() => /found|so new/.test(document.querySelector('#search-state').textContent));
			await look(page, what + ', search');
			await page.keyboard.press('Escape');
			await page.fill('#draft', range(12).join('\n'));
			await page.press('#draft', 'Enter');
			await page.waitForSelector('#guard[open]');
			await look(page, what + ', paste');
			await page.keyboard.press('Escape');
			proxy.open = false;
			proxy.cut();
			await page.waitForSelector('#banner:not([hidden])');
			await say(page, 'waiting');
			await look(page, what + ', offline');
			same(page.faults, [], 'faults of the page');
			await where.close();
		}
		console.log(`axe: ${looked} looks, 0 violations`);
	},

	async nasty() {
		const strings = nasty();
		same(strings.length, 515, 'strings');
		same(new Set(strings.map(([, text]) => text)).size, 515, 'different strings');
		await stayText(strings.map(([, text]) => text));
		const categories = strings.map(([category]) => category);
		console.log([...new Set(categories)].map(category => `${category} ${categories.filter(other => other === category).length}`).join(', '));
	},

	markup: () => stayText(markup()),

	async many() {
		const server = await Server.start('--sync', 'off');
		const tom = await Telnet.join(server, 'tom'), page = await open(await context(), { origin: server.origin, name: 'ann' });
		const words = 'the quick brown fox jumps over a lazy dog and says hello to everybody who is here today'.split(' ');
		for (const block of range(20)) {
			tom.say(range(500).map(number => `${block * 500 + number} ${words.slice(number % 12, 4 + number % 14).join(' ')}`).join('\n'));
			await tom.answer();
		}
		await until(async () => (await rows(page)).at(-1)?.[1].startsWith('9999 '), 'the last one');
		const drawn = await page.evaluate(() => document.querySelectorAll('#log *').length);
		check(drawn < 2500, `${drawn} elements for 10,000 messages`);
		const live = await typing(page);
		await page.locator('#log').evaluate(log => { log.scrollTop = log.scrollHeight / 2; }); // among old ones
		const above = await typing(page);
		const started = Date.now();
		const fresh = await open(await context(), { origin: server.origin, name: 'bob' });
		const all = await allRows(fresh);
		check(all.length === 10000 && all.every(([, text], index) => Number(text.split(' ')[0]) === index), 'all 10,000 in order');
		const loaded = await typing(fresh);
		console.log(`10,000 messages: ${drawn} elements; loaded by scrolling in ${Date.now() - started} ms; from the key to the frame that shows it (median, 95th, most; ms), ` +
			`at the end ${live.text}; in the middle ${above.text}; after loading all ${loaded.text}`);
		for (const { median, longest } of [live, above, loaded]) check(median < 100 && longest < 1000, 'typing is fluid');
		clean(page);
		clean(fresh);
	},

	async history() {
		const server = await Server.start('--sync', 'off');
		const tom = await Telnet.join(server, 'tom');
		tom.say(range(700).map(number => `line ${number}`).join('\n'));
		await tom.answer();
		const page = await open(await context(), { origin: server.origin, name: 'ann' });
		await until(async () => (await rows(page)).at(-1)?.[1] === 'line 699', 'the last one');
		check((await rows(page)).length < 400, 'not all of them at once');
		const place = wanted => page.evaluate(text => { // the text and the place of the first row that is seen, or of that with the text
			const log = document.querySelector('#log').getBoundingClientRect(), textOf = row => row.querySelector('.text').textContent;
			const row = [...document.querySelectorAll('.row')].find(one => (text ? textOf(one) === text : one.getBoundingClientRect().top >= log.top));
			return row && [textOf(row), row.getBoundingClientRect().top - log.top];
		}, wanted);
		for (const _ of range(12)) {
			await page.locator('#log').evaluate(log => { log.scrollTop -= 900; });
			await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
			const before = await place();
			await page.waitForTimeout(150); // what is loaded comes meanwhile, and moves nothing; each time a part of a pixel is rounded
			const after = await place(before[0]);
			check(after && Math.abs(before[1] - after[1]) <= 3, `the place is kept: ${before}, then ${after}`);
		}
		check(!await page.locator('#jump').isHidden(), 'there is a way to the newest');
		tom.say('news');
		await until(async () => /1 new message/.test(await page.textContent('#jump')), 'the button tells');
		await page.click('#jump');
		await until(async () => (await rows(page)).at(-1)?.[1] === 'news', 'the newest');
		same(texts(await allRows(page)), [...range(700).map(number => `line ${number}`), 'news'], 'all of them');
		clean(page);
	},

	async mentions() {
		const server = await Server.start(), where = await context();
		const tom = await Telnet.join(server, 'tom'), page = await open(where, { origin: server.origin, name: 'ann' });
		await page.waitForFunction(() => document.querySelector('.person'));
		tom.say('good day');
		await until(async () => (await rows(page)).length === 1, 'a message');
		same(await page.title(), 'lobby · tcpchat', 'the title');
		await page.evaluate(() => { // the window is behind another one
			Object.defineProperty(document, 'hasFocus', { value: () => !globalThis.away, configurable: true });
			globalThis.away = true;
		});
		tom.say('hello @Ann, are you there?');
		tom.say('Hannah and annals are no mention');
		tom.say('(ann)');
		await until(async () => (await rows(page)).length === 4, 'four messages');
		await until(async () => await page.title() === '(3) lobby · tcpchat', async () => `the title tells: ${await page.title()}`);
		same(await page.locator('.row.called').count(), 2, 'mentions');
		same(await page.locator('.row mark').allTextContents(), ['@Ann', 'ann'], 'marks');
		same(await page.locator('.line').textContent(), 'New messages', 'the line');
		same(await page.evaluate(() => document.querySelector('.line').nextElementSibling.querySelector('.text').textContent), 'hello @Ann, are you there?', 'what is below it');
		check(/3 new, you were mentioned/.test(await page.textContent('#yours')), await page.textContent('#yours'));
		await page.evaluate(() => { globalThis.away = false; dispatchEvent(new Event('focus')); });
		await until(async () => await page.title() === 'lobby · tcpchat', 'the title is calm again');
		same(await page.locator('.line').count(), 1, 'the line stays until one has answered');
		await say(page, 'yes');
		await until(async () => await page.locator('.line').count() === 0, 'it goes');
		// Another room, and back after a while: the line is where one stopped.
		await page.click('#others a:has-text("tea"), #go-name');
		await page.fill('#go-name', 'tea');
		await page.press('#go-name', 'Enter');
		await page.waitForFunction(() => document.querySelector('#room-name').textContent === 'tea');
		tom.say('one more');
		await until(async () => /1 new/.test(await page.locator('#yours a:has-text("lobby")').textContent()), 'the list tells');
		await page.click('#yours a:has-text("lobby")');
		await page.waitForSelector('.line');
		// Nobody was asked about notifications until a click does.
		same(await page.evaluate(() => Notification.permission), 'denied', 'permission of a headless browser');
		await page.click('#bell');
		await until(async () => /not allowed/.test(await told(page)), 'it says why not');
		clean(page);
	},

	async reader() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom'), una = await Telnet.join(server, 'una');
		tom.say(range(30).map(number => `before ${number}`).join('\n'));
		await tom.answer();
		const page = await open(await context(), { origin: server.origin, name: 'ann' });
		await page.evaluate(() => {
			globalThis.told = [];
			new MutationObserver(() => globalThis.told.push(document.querySelector('#tell').textContent)).observe(document.querySelector('#tell'), { childList: true, characterData: true, subtree: true });
		});
		await until(async () => (await rows(page)).length === 30, 'the history');
		same(await page.getAttribute('#log', 'aria-live'), 'off', 'the log itself');
		const heard = () => page.evaluate(() => globalThis.told);
		tom.say('a word');
		await until(async () => (await heard()).length === 1, 'an announcement');
		same(await heard(), ['tom: a word'], 'what is read out');
		tom.say(range(40).map(number => `burst ${number}`).join('\n'));
		una.say('me too');
		await until(async () => (await heard()).length >= 2, 'a summary');
		await until(async () => (await rows(page)).length >= 72, 'all of them');
		await say(page, 'mine');
		await allSaid(page);
		await page.waitForTimeout(1500);
		const all = await heard();
		check(all.length <= 3 && /^\d+ new messages from/.test(all[1]) && !all.join().includes('before') && !all.join().includes('mine'), `it is not flooded: ${JSON.stringify(all)}`);
		clean(page);
	},

	async search() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom');
		tom.say('the needle');
		tom.say(range(600).map(number => `hay ${number}`).join('\n'));
		tom.say('<b>needle</b> in bold');
		await tom.answer();
		const page = await open(await context(), { origin: server.origin, name: 'ann' });
		await page.click('#find');
		await until(async () => {
			await page.fill('#search-words', 'needle');
			await page.press('#search-words', 'Enter');
			await page.waitForFunction(() => !/Searching/.test(document.querySelector('#search-state').textContent));
			return await page.locator('.hit').count() === 2;
		}, async () => `two hits: ${await page.textContent('#search-state')}`);
		same(await page.locator('.it > span').allTextContents(), ['<b>needle</b> in bold', 'the needle'], 'what is found');
		await page.locator('.hit').nth(1).click();
		await page.waitForSelector('.row.flash');
		same(await page.locator('.row.flash .text').textContent(), 'the needle', 'where it leads');
		check(await page.evaluate(() => { const box = document.activeElement.getBoundingClientRect(); return document.activeElement.matches('.flash') && box.top > 0 && box.bottom < innerHeight; }), 'it is seen');
		await page.click('#jump');
		await until(async () => (await rows(page)).at(-1)?.[1] === '<b>needle</b> in bold', 'back to the newest');
		same((await allRows(page)).length, 602, 'all of them');
		await page.click('#find');
		await page.fill('#search-words', 'hay');
		await page.press('#search-words', 'Enter');
		await page.locator('#more').waitFor();
		await page.click('#more');
		await until(async () => await page.locator('.hit').count() === 20, 'the second page');
		clean(page);
	},

	async strangers() {
		const server = await Server.start();
		const ann = await open(await context(), { origin: server.origin, name: 'ann' });
		await ann.click('#stranger');
		await until(async () => /Waiting/.test(await ann.textContent('#room-name')), 'ann waits');
		const bob = await open(await context(), { origin: server.origin, name: 'bob' });
		await bob.click('#stranger');
		for (const page of [ann, bob]) await until(async () => await page.textContent('#room-name') === 'Stranger', async () => `they meet: ${await page.textContent('#room-name')}`);
		await say(bob, 'who are you?');
		await until(async () => texts(await rows(ann)).includes('who are you?'), 'ann hears');
		await say(ann, 'ann');
		await until(async () => texts(await rows(bob)).includes('ann'), 'bob hears');
		await bob.locator('#yours li:has-text("Stranger")').hover();
		await bob.click('#yours li:has-text("Stranger") .leave');
		await until(async () => await bob.textContent('#room-name') === 'lobby', 'bob is back');
		await until(async () => await ann.locator('#draft').isDisabled(), 'ann is told');
		check(/has left/.test(await ann.getAttribute('#draft', 'placeholder')), 'why');
		await ann.click('#yours a:has-text("lobby")');
		await say(ann, 'hello lobby');
		await until(async () => texts(await rows(bob)).includes('hello lobby'), 'the lobby goes on');
		clean(ann);
		clean(bob);
	},

	async rooms() {
		const server = await Server.start(), proxy = await Proxy.to(server.port), where = await context();
		const page = await open(where, { origin: proxy.origin, name: 'ann', room: 'tea' });
		same(await page.textContent('#room-name'), 'tea', 'the room of the path');
		check((await page.textContent('#people-list')).includes('ann') || await until(async () => (await page.textContent('#people-list')).includes('ann'), 'ann'), 'who is there');
		await say(page, 'in tea');
		await page.fill('#go-name', 'Müßig & still');
		await page.press('#go-name', 'Enter');
		await until(async () => /bad-room-name|a room|name/.test(await page.getAttribute('#draft', 'placeholder')) && await page.locator('#draft').isDisabled(), 'a name that is not allowed is refused');
		await page.fill('#go-name', 'garten #1');
		await page.press('#go-name', 'Enter');
		await until(async () => await page.textContent('#room-name') === 'garten #1' && new URL(page.url()).pathname === '/r/garten%20%231', async () => `the path: ${page.url()}`);
		await say(page, 'in the garden');
		await allSaid(page);
		await page.goBack();
		await page.goBack();
		await until(async () => await page.textContent('#room-name') === 'tea', 'back in the first');
		await until(async () => texts(await rows(page)).join() === 'in tea', 'what was said there');
		proxy.cut();
		await page.waitForTimeout(50);
		await connected(page);
		const tom = await Telnet.join(server, 'tom', '/join "garten #1"');
		tom.say('flowers');
		await until(async () => /1 new/.test(await page.textContent('#yours')), 'it is still in both rooms');
		await page.reload();
		await connected(page);
		await until(async () => (await page.locator('#yours a').allTextContents()).length >= 2, 'and after a reload');
		await page.click('#yours a:has-text("garten")');
		await until(async () => texts(await rows(page)).join() === 'in the garden,flowers', async () => `the garden: ${texts(await rows(page))}`);
		await say(page, '/topic roses');
		await until(async () => await page.textContent('#topic') === 'roses', 'a command');
		await say(page, '/nick anna');
		await until(async () => await page.textContent('#me-name') === 'anna', 'another name');
		clean(page);
	},

	async paste() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom', '/events'), page = await open(await context(), { origin: server.origin, name: 'ann' });
		await say(page, 'two\nlines');
		await until(() => tom.said().length === 1, 'two lines go without a question');
		same(tom.said()[0][2], 'two\u2424lines', 'as one message');
		await until(async () => texts(await rows(page)).join() === 'two\nlines', 'as it is shown');
		const text = range(40).map(number => `line ${number}`).join('\n');
		await say(page, text);
		await page.waitForSelector('#guard[open]');
		check(/40 lines/.test(await page.textContent('#guard-title')), await page.textContent('#guard-title'));
		await page.keyboard.press('Escape');
		same(await page.inputValue('#draft'), text, 'what was written is still there');
		await page.press('#draft', 'Enter');
		await page.click('#guard button[value=no]');
		await page.waitForSelector('#guard', { state: 'hidden' });
		await page.press('#draft', 'Enter');
		await page.waitForSelector('#guard[open]');
		await page.keyboard.press('Enter');
		await until(() => tom.said().length === 2, 'forty lines after the question');
		same(tom.said()[1][2], text.replaceAll('\n', '\u2424'), 'all of them');
		clean(page);
	},

	async keyboard() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom', '/join tea'), page = await open(await context(), { origin: server.origin, ready: false });
		const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
		const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className || document.activeElement.tagName);
		await page.waitForSelector('#hello[open]');
		await page.keyboard.type('ann!');
		await press('Enter');
		await page.waitForSelector('#hello-fault:not(:empty)');
		await page.keyboard.press('Control+A');
		await page.keyboard.type('ann');
		await press('Enter');
		await connected(page);
		same(await focused(), 'draft', 'focus');
		await page.keyboard.type('first');
		await press('Shift+Enter');
		await page.keyboard.type('second');
		await press('Enter');
		await until(async () => texts(await rows(page)).join() === 'first\nsecond', 'Shift and Enter begins a line, Enter sends');
		await allSaid(page);
		await page.keyboard.type('third');
		await press('Enter');
		await until(async () => texts(await rows(page)).at(-1) === 'third', 'the third is kept and shown');
		await allSaid(page);
		await press('ArrowUp');
		same(await page.evaluate(() => document.activeElement.querySelector('.text').textContent), 'third', 'arrow up goes to the messages');
		await press('ArrowUp');
		same(await page.evaluate(() => document.activeElement.querySelector('.text').textContent), 'first\nsecond', 'and further');
		check(await page.evaluate(() => { const style = getComputedStyle(document.activeElement); return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; }), 'focus is seen');
		await press('Escape');
		same(await focused(), 'draft', 'Escape goes back');
		await until(async () => (await page.textContent('#others')).includes('tea'), 'the other room');
		// With Tab alone to the list of rooms, with arrows in it, with Enter into a room.
		const seen = [];
		for (let turn = 0; turn < 30 && !(await page.evaluate(() => document.activeElement.closest?.('#others'))); turn++) { await press('Shift+Tab'); seen.push(await focused()); }
		check(await page.evaluate(() => !!document.activeElement.closest('#others')), `Tab comes to the rooms: ${seen}`);
		await press('Enter');
		await until(async () => await page.textContent('#room-name') === 'tea', 'Enter goes there');
		await connected(page);
		await until(async () => await focused() === 'draft', 'and to what is written');
		await page.waitForFunction(() => document.querySelectorAll('.person').length === 2);
		await page.keyboard.type('@tom hello');
		await press('Enter');
		await until(() => tom.lines.includes('ann: @tom hello'), 'tom hears');
		await page.focus('#yours a[aria-current]');
		await press('ArrowUp', 'Enter');
		await until(async () => await page.textContent('#room-name') === 'lobby', 'arrows in the list of rooms');
		await page.focus('#find');
		await press('Enter');
		await page.waitForSelector('#search[open]');
		await press('Escape');
		await page.waitForSelector('#search', { state: 'hidden' });
		same(await focused(), 'find', 'focus is where it was');
		clean(page);
	},

	async narrow() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom');
		const hebrew = 'שלום, מה שלומך היום?', mixed = 'English first, then עברית';
		for (const text of [hebrew, mixed, 'w'.repeat(300), 'https://example.org/' + 'a/'.repeat(200), '/topic ' + 't'.repeat(300), 'word '.repeat(80)]) tom.say(text);
		await tom.answer();
		for (const [width, height] of [[320, 640], [1280, 800]]) {
			const page = await open(await context({ viewport: { width, height } }), { origin: server.origin, name: 'anneliese.von.und.zu.hinterwalden-' + width });
			await until(async () => (await rows(page)).length === 5, 'messages');
			const side = text => page.evaluate(wanted => {
				const row = [...document.querySelectorAll('.row .text')].find(one => one.textContent === wanted);
				return [row.matches(':dir(rtl)'), getComputedStyle(row).unicodeBidi];
			}, text);
			same((await side(hebrew))[0], true, 'Hebrew is from right to left');
			same((await side(mixed))[0], false, 'what begins in English is not');
			const wide = () => page.evaluate(() => [document.documentElement.scrollWidth > innerWidth, document.querySelector('#log').scrollWidth > document.querySelector('#log').clientWidth]);
			same(await wide(), [false, false], 'scrolls sideways');
			same(await tooWide(page), [], 'what is wider than the window');
			await page.fill('#draft', 'ש');
			same(await page.evaluate(() => document.querySelector('#draft').matches(':dir(rtl)')), true, 'what is written, too');
			if (width === 320) {
				for (const [opener, panel] of [['#menu', '#side'], ['#crowd', '#people']]) {
					await page.click(opener);
					await page.waitForSelector(panel + '.open');
					same(await tooWide(page), [], `what is wider than the window, with ${panel}`);
					await page.keyboard.press('Escape');
					await page.waitForSelector(panel, { state: 'hidden' });
				}
				await page.click('#find');
				same(await tooWide(page), [], 'what is wider than the window, with the search');
			}
			clean(page);
		}
	},

	async small() {
		const server = await Server.start(), page = await (await context()).newPage(), asked = [];
		page.on('request', request => asked.push(request.url()));
		await page.goto(server.origin + '/?name=ann');
		await connected(page);
		check(asked.every(url => url.startsWith(server.origin) || url.startsWith('data:')), `only the server is asked: ${asked}`);
		let size = 0;
		for (const file of ['/', '/chat.css', '/chat.mjs']) {
			const answer = await fetch(server.origin + file), etag = answer.headers.get('etag');
			size += (await answer.arrayBuffer()).byteLength;
			same((await fetch(server.origin + file, { headers: { 'If-None-Match': etag } })).status, 304, `${file} again`);
		}
		check(size < 60000, `${size} bytes`);
		console.log(`the page has ${size} bytes`);
	},

	async plain() {
		const server = await Server.start();
		const tom = await Telnet.join(server, 'tom');
		tom.say('hello to readers');
		await tom.answer();
		const where = await context({ javaScriptEnabled: false }), page = await where.newPage();
		const answer = await page.goto(`${server.origin}/`);
		const policy = answer.headers()['content-security-policy'] ?? '';
		for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]) check(policy.includes(rule), `${rule} in ${policy}`);
		check(!policy.includes('unsafe'), policy);
		check(await page.locator('#app').isHidden(), 'the page itself is not shown');
		await page.click('a[href="/r/lobby.txt"]');
		await until(async () => (await page.textContent('body')).includes('hello to readers'), async () => `what was said: ${await page.textContent('body')}`);
	},
};

// Each of the strings is said in one page, and shown in another one as it is: nothing is made of it but text.
async function stayText(strings) {
	const server = await Server.start('--sync', 'off');
	const ann = await open(await context(), { origin: server.origin, name: 'ann' }), tom = await Telnet.join(server, 'tom', '/events');
	await ann.waitForFunction(() => document.querySelector('.person'));
	const bob = await open(await context(), { origin: server.origin, name: 'bob' });
	// What elements there may be in a row; anything else was made of the text.
	const allowed = ['ARTICLE', 'SPAN', 'DIV', 'BDI', 'TIME', 'A', 'MARK', 'BUTTON'];
	for (const text of strings) await say(ann, text.startsWith('/') ? '/' + text : text);
	await allSaid(ann);
	const missing = () => strings.filter(text => !tom.said().some(([, , said]) => said.replaceAll('\u2424', '\n') === cleaned(text)));
	await until(() => tom.said().length === strings.length, () => `all of them; there are ${tom.said().length}, and not ${JSON.stringify(missing())}`);
	const wanted = tom.said().map(([seq, , text]) => [seq, text.replaceAll('\u2424', '\n')]);
	for (const [index, text] of strings.entries()) {
		const back = wanted[index][1];
		check([text, text.replaceAll('\u2424', '\n'), cleaned(text)].includes(back), `${JSON.stringify(text)} comes back as ${JSON.stringify(back)}`);
	}
	for (const page of [ann, bob]) {
		same(await allRows(page), wanted, 'what a page shows');
		const made = await page.evaluate(() => [...new Set([...document.querySelectorAll('#log *')].map(element => element.tagName))]);
		same(made.filter(tag => !allowed.includes(tag)), [], 'elements');
		same(await page.evaluate(() => [globalThis.hacked, [...document.querySelectorAll('a[target]')].filter(({ protocol, rel }) => !/^https?:$/.test(protocol) || !/noopener/.test(rel)).length]), [null, 0].map((value, index) => (index ? value : undefined)), 'links, and what ran');
		clean(page);
	}
}

// What the server makes of a text: no control characters but tab, no halves of characters.
const cleaned = text => text.toWellFormed().replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g, '').replace(/\s+$/, '');

// How long it takes from a key to the frame after it, in milliseconds.
async function typing(page) {
	await page.evaluate(() => {
		globalThis.times = [];
		globalThis.tasks = 0;
		new PerformanceObserver(list => { for (const { duration } of list.getEntries()) globalThis.tasks = Math.max(globalThis.tasks, duration); }).observe({ type: 'longtask' });
		document.querySelector('#draft').addEventListener('keydown', event => {
			const start = event.timeStamp;
			requestAnimationFrame(() => { const channel = new MessageChannel(); channel.port1.onmessage = () => globalThis.times.push(performance.now() - start); channel.port2.postMessage(0); });
		});
	});
	await page.focus('#draft');
	await page.keyboard.type('typing should feel the same however much was said', { delay: 15 });
	const { times, tasks } = await page.evaluate(() => ({ times: globalThis.times.toSorted((left, right) => left - right), tasks: globalThis.tasks }));
	await page.fill('#draft', '');
	const at = part => times[Math.min(times.length - 1, Math.floor(times.length * part))];
	return { median: at(0.5), longest: tasks, text: `${at(0.5).toFixed(1)}, ${at(0.95).toFixed(1)}, ${times.at(-1).toFixed(1)}, longest task ${Math.round(tasks)}` };
}

await run(cases);
