// A browser in the matrix: says COUNT texts on the server's page, and prints "said" when they are kept. Then it reads the number of
// the last message, waits for that, and prints what the page shows, as JSON: [[seq, at, name, text], ...]. Environment: ORIGIN,
// NAME, COUNT, and what ../web/browser.mjs needs.

import { createInterface } from 'node:readline';

import { DEADLINE, allSaid, context, open, run, say, until } from '../web/browser.mjs';

const { ORIGIN: origin, NAME: name } = process.env;
const count = Number(process.env.COUNT);

// Notes each row that is drawn, whenever that is. Who spoke is named in the first row of a group, and told to screen readers in the
// others.
const watch = page => page.evaluate(() => {
	const log = document.querySelector('#log');
	const look = () => {
		for (const row of log.querySelectorAll('.row[data-seq]:not(.aside)')) {
			const name = row.querySelector('.who-line .who')?.textContent ?? row.querySelector('.sr').textContent.replace(/: $/, '');
			window.shown.set(Number(row.dataset.seq), [row.querySelector('time').dateTime, name, row.querySelector('.text').textContent]);
		}
	};
	window.shown = new Map();
	new MutationObserver(look).observe(log, { attributes: true, childList: true, subtree: true });
	look();
});

const shows = (page, seq) => page.evaluate(seq => [...window.shown.keys()].some(key => key >= seq), seq);

// Everything, from the end to the beginning, by scrolling up.
async function all(page) {
	await page.locator('#log').focus();
	await until(() => page.evaluate(() => {
		const log = document.querySelector('#log');
		const done = log.scrollTop === 0 && /begins/.test(log.firstElementChild?.textContent);
		log.scrollTop = 0;
		return done;
	}), 'the begin of the history', 4 * DEADLINE);
	return page.evaluate(() => [...window.shown].sort(([left], [right]) => left - right).map(([seq, rest]) => [seq, ...rest]));
}

// The server may be away just now; then a person tries again.
async function arrive(where) {
	for (;;) {
		try {
			return await open(where, { origin, name });
		} catch (fault) {
			if (!/net::ERR_(CONNECTION|EMPTY)/.test(fault.message)) throw fault;
		}
	}
}

process.argv[2] = 'talk';
await run({
	async talk() {
		const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
		const page = await arrive(await context({ ignoreHTTPSErrors: true }));
		await watch(page);
		for (let number = 0; number < count; number++) await say(page, `${name} ${number}`);
		await allSaid(page);
		process.stdout.write('said\n');
		const last = Number((await lines.next()).value);
		await until(() => shows(page, last), `message ${last}`, 4 * DEADLINE);
		process.stdout.write(JSON.stringify(await all(page)) + '\n');
	},
});
