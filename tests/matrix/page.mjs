// A browser in the matrix: says COUNT texts on the server's page, and prints "said" when they are kept. Then it reads the number of
// the last message, waits for that, and prints what the page shows, as JSON: [[seq, at, name, text], ...]. Environment: ORIGIN,
// NAME, COUNT, and what ../web/browser.mjs needs.

import { createInterface } from 'node:readline';

import { DEADLINE, allSaid, context, open, run, say, until } from '../web/browser.mjs';

const { ORIGIN: origin, NAME: name } = process.env;
const count = Number(process.env.COUNT);

// The rows that are drawn: who spoke is named in the first row of a group, and told to screen readers in the others.
const drawn = page => page.evaluate(() => [...document.querySelectorAll('.row[data-seq]:not(.aside)')].map(row => [
	Number(row.dataset.seq),
	row.querySelector('time').dateTime,
	row.querySelector('.who-line .who')?.textContent ?? row.querySelector('.sr').textContent.replace(/: $/, ''),
	row.querySelector('.text').textContent,
]));

// Everything, from the end to the beginning, by scrolling up.
async function all(page) {
	const found = new Map();
	await page.locator('#log').focus();
	await until(async () => {
		for (const entry of await drawn(page)) found.set(entry[0], entry);
		return page.evaluate(() => {
			const log = document.querySelector('#log');
			const done = log.scrollTop === 0 && /begins/.test(log.firstElementChild?.textContent);
			log.scrollTop = 0;
			return done;
		});
	}, 'the begin of the history', 4 * DEADLINE);
	for (const entry of await drawn(page)) found.set(entry[0], entry);
	return [...found.values()].sort(([left], [right]) => left - right);
}

process.argv[2] = 'talk';
await run({
	async talk() {
		const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
		const page = await open(await context({ ignoreHTTPSErrors: true }), { origin, name });
		for (let number = 0; number < count; number++) await say(page, `${name} ${number}`);
		await allSaid(page);
		process.stdout.write('said\n');
		const last = Number((await lines.next()).value);
		await until(async () => (await drawn(page)).some(([seq]) => seq >= last), `message ${last}`, 4 * DEADLINE);
		process.stdout.write(JSON.stringify(await all(page)) + '\n');
	},
});
