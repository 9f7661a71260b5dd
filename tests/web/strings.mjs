// Strings that are hard on whoever shows text: made here by category, 515 of them; and markup that tries to run.

const code = (...points) => String.fromCodePoint(...points);
const span = (from, count) => [...Array(count).keys()].map(index => code(from + index));

const TAGS = ['script', 'img', 'svg', 'iframe', 'math', 'style', 'object', 'embed', 'video', 'audio', 'details', 'form', 'input', 'button', 'template', 'base', 'meta', 'link', 'marquee', 'textarea'];
const EVENTS = ['onerror', 'onload', 'onclick', 'onfocus', 'onmouseover', 'ontoggle', 'onanimationstart', 'onpointerdown', 'onbegin', 'onpaste'];
const WORDS = ['null', 'NULL', 'nil', 'undefined', 'true', 'false', 'NaN', 'Infinity', '-Infinity', 'None', 'constructor', '__proto__', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', 'then', 'length', 'innerText', 'default'];
const NUMBERS = ['0', '-0', '00', '0x0', '1e309', '-1e309', '1/0', '0/0', '9007199254740993', '18446744073709551616', '-9223372036854775809', '1,000.00', '1.000,00', '1 000', '٠١٢٣', '१२३', '½', '①②③', '１２３', '0b101'];

// The categories; each string appears once.
const CATEGORIES = {
	words: () => WORDS,
	numbers: () => NUMBERS,
	spaces: () => [0xa0, 0x1680, 0x2000, 0x2003, 0x2009, 0x200a, 0x202f, 0x205f, 0x3000, 0x09].map(point => `a${code(point)}b`),
	invisible: () => [0xad, 0x180e, 0x200b, 0x200c, 0x200d, 0x2060, 0x2061, 0x2064, 0xfeff, 0x34f, 0x115f, 0x3164, 0xffa0, 0xe0001, 0xe0041].map(point => `in${code(point)}visible`),
	controls: () => [...span(1, 8), ...span(14, 18), ...span(0x7f, 14)].map((point, index) => `control ${index} ${point}.`),
	separators: () => ['a\u2028b', 'a\u2029b', 'a\u0085b', 'a\u000bb', 'a\u000cb', 'a\nb', 'a\r\nb', 'a\rb\r', '\u2424', 'a\n\n\nb'],
	directions: () => [0x200e, 0x200f, 0x061c, 0x202a, 0x202b, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068].flatMap(point => [`user${code(point)}txt.exe`, code(point, point, point) + 'open and never closed', `https://example.org/${code(point)}moc.live`]),
	scripts: () => ['العربية تُكتب من اليمين', 'עברית עם ניקוד: שָׁלוֹם', 'ไทยไม่มีช่องว่าง', 'हिन्दी में क्ष', 'বাংলা', 'தமிழ்', 'မြန်မာ', '中文，全角', '日本語ｶﾅ', '한국어 조합 각', 'ქართული', 'Ελληνικά', 'Русский', 'ꦗꦮ', '𒀀𒀁', '𐎀𐎁', '𝔉𝔯𝔞𝔨𝔱𝔲𝔯', 'ᚠᚢᚦ', 'Ṫĥïş ïş', 'İıIi ſẞß'],
	marks: () => [1, 2, 5, 10, 20, 40, 80, 160].map(count => 'Z' + span(0x300, 60).join('').repeat(3).slice(0, count) + 'o' + span(0x316, 20).join('').repeat(8).slice(0, count)),
	emoji: () => ['👩‍👩‍👧‍👦', '🏳️‍🌈', '🇩🇪🇫🇷', '👍🏽', '🧑🏿‍🚀', '❤️', '❤︎', '#️⃣', '🫠', '🇦', '👨‍', '‍👩', '🏴󠁧󠁢󠁳󠁣󠁴󠁿', '😀'.repeat(50), '\u{1f468}\u{1f3fb}\u{200d}'],
	edges: () => ['\ufffd', '\ufffe', '\uffff', '\u{1fffe}', '\u{10ffff}', '\ue000', '\u{f0000}', '\ud800', '\udc00', 'a\ud83db'].map((text, index) => `edge ${index} ${text}`),
	long: () => [100, 1000, 5000, 20000].flatMap(count => ['x'.repeat(count), 'm '.repeat(count).trim(), 'ʘ'.repeat(Math.min(count, 10000)) + count]),
	tags: () => TAGS.flatMap(tag => [`<${tag}>`, `</${tag}>`, `<${tag} src=x onerror=hacked=1>`]),
	events: () => EVENTS.flatMap(event => [`" ${event}="hacked=1`, `' ${event}='hacked=1' x='`]),
	entities: () => ['&lt;', '&amp;amp;', '&#60;b&#62;', '&#x3c;i&#x3e;', '&nbsp;', '&copy', '&notit;', '&', '&&', '&#0;', '&#xd800;', '&quot;&apos;', '&lt;script&gt;', '&zwj;', '&Tab;&NewLine;'],
	templates: () => ['{{7*7}}', '${7*7}', '#{7*7}', '<%= 7*7 %>', '{% if x %}', '[[7*7]]', '@{7*7}', '$(id)', '`id`', '%{x}', '{0}', '%s%n%x', '%00', '%0d%0a', '%u003c', '\\u003cb\\u003e', '\\x3cb\\x3e', '\\0', '\\n', '\\'],
	links: () => ['http://', 'https://', 'http://a', 'https://example.org.', '(https://example.org/a_(b))', 'https://user:pass@example.org/', 'http://[::1]:7777/', 'https://example.org/?q=<b>&x="y"', 'HTTPS://EXAMPLE.ORG', 'xhttps://example.org', 'javascript:hacked=1',
		'JaVaScRiPt:hacked=1', 'data:text/html,<b>', 'vbscript:x', 'file:///etc/passwd', '//example.org', 'https:///x', 'https://exa mple.org', 'https://例え.テスト/パス', 'http://0x7f.1/', 'https://example.org/%zz', 'https://%', 'http://a:99999/', 'https://example.org/\u202egnp.exe', 'https://…'],
	markdown: () => ['**bold**', '_it_', '`code`', '# head', '> quote', '- item', '[x](javascript:hacked=1)', '![x](x)', '~~no~~', '---', '<!-- x -->', '<![CDATA[x]]>', '<?php x ?>', '<!doctype html>', '|a|b|'],
	commands: () => ['/', '//', '/quit', '/nick x', '/me', '!exit', '/admin', ':q!', '.exit', '/session 0', '/events', '{"op":"quit"}', '{', '{}', '[]', '"', "'", '/ help', '/\u200bhelp', '/HELP'],
	queries: () => ["' or 1=1 --", '"; drop table x; --', "') union select 1 --", '1; shutdown', "admin'/*", '\\"', "''''", '*)(uid=*', '$ne', '{"$gt":""}'],
	paths: () => ['../../etc/passwd', '..\\..\\x', 'C:\\con', 'nul', '~root', './.', 'a/b', '/dev/null', 'file\u0000.txt', '%2e%2e%2f'],
	ansi: () => ['\u001b[31mred', '\u001b]0;title\u0007', '\u009b31m', '\u001b[2J', '\u001bc', '\u0008\u0008x', '\u0007', '\r\u001b[K', '\u000e', '\u001b[?1049h'].map((text, index) => `ansi ${index} ${text}.`),
	punctuation: () => [...'!"#$%&\'()*+,-.:;<=>?@[]^_`{|}~'].map(sign => `${sign}${sign}${sign}`),
	quotes: () => ['“x”', '‘x’', '«x»', '‹x›', '「x」', '′″‴', '´`¨', '﹤b﹥', '＜script＞', 'ʼx', '〈b〉', '≮b≯', '‟', '❝x❞', '˂x˃'],
	shapes: () => span(0x2580, 30).map(sign => sign.repeat(3)),
};

// One more for each, until there are as many as wanted: a sign of each kind between two letters.
function* more() {
	for (let point = 0x2190; ; point += 7) yield `a${code(point)}b${code(0x1f300 + (point % 600))}`;
}

export function nasty(count = 515) {
	const strings = Object.entries(CATEGORIES).flatMap(([category, make]) => make().map(text => [category, text]));
	const seen = new Set(), unique = strings.filter(([, text]) => text.trim() && !seen.has(text) && seen.add(text));
	for (const text of more()) {
		if (unique.length >= count) return unique.slice(0, count);
		if (!seen.has(text)) unique.push(['symbols', text]);
	}
	return unique;
}

export function markup() {
	const run = 'globalThis.hacked=1;alert(1)';
	return [
		`<script>${run}</script>`, `<SCRIPT>${run}</SCRIPT>`, `<script\n>${run}</script\n>`, `<scr<script>ipt>${run}</scr</script>ipt>`, `"><script>${run}</script>`, `'><script>${run}</script>`,
		`</div><script>${run}</script>`, `</textarea><script>${run}</script>`, `</title><script>${run}</script>`, `--><script>${run}</script>`, `<script src="data:,${run}"></script>`, `<script src=//example.org/x.js></script>`,
		`<img src=x onerror="${run}">`, `<img src=x onerror=${run}//`, `<img/src=x/onerror=${run}>`, `<img src="javascript:${run}">`, `<img src=x:x onerror\n=${run}>`, `<img srcset=x onerror=${run}>`, `<image href=x onerror=${run}>`,
		`<svg onload=${run}>`, `<svg/onload=${run}>`, `<svg><script>${run}</script></svg>`, `<svg><animate onbegin=${run} attributeName=x dur=1s>`, `<svg><a xlink:href="javascript:${run}"><text>x</text></a></svg>`, `<svg><foreignObject><iframe srcdoc="<script>${run}</script>"></foreignObject></svg>`,
		`<math><mtext></form><form><mglyph><style></math><img src onerror=${run}>`, `<math href="javascript:${run}">x</math>`, `<noscript><p title="</noscript><img src=x onerror=${run}>">`, `<template><script>${run}</script></template>`,
		`<iframe src="javascript:${run}"></iframe>`, `<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>`, `<object data="javascript:${run}">`, `<embed src="javascript:${run}">`, `<base href="javascript:${run}//">`, `<meta http-equiv=refresh content="0;url=javascript:${run}">`,
		`<link rel=stylesheet href="javascript:${run}">`, `<style>@import 'javascript:${run}';</style>`, `<style>*{background:url("javascript:${run}")}</style>`, `<div style="width:expression(${run})">`, `<body onload=${run}>`, `<html onclick=${run}>`,
		`<input autofocus onfocus=${run}>`, `<select autofocus onfocus=${run}>`, `<textarea autofocus onfocus=${run}>`, `<details open ontoggle=${run}>`, `<video src=x onerror=${run}>`, `<video><source onerror=${run}>`, `<audio src=x onerror=${run}>`, `<marquee onstart=${run}>`,
		`<a href="javascript:${run}">x</a>`, `<a href="java\tscript:${run}">x</a>`, `<a href="&#106;avascript:${run}">x</a>`, `<a href="data:text/html,<script>${run}</script>">x</a>`, `<form action="javascript:${run}"><button>x</button></form>`, `<button formaction="javascript:${run}">x</button>`,
		`javascript:${run}`, `JAVASCRIPT:${run}`, `java\tscript:${run}`, `data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==`, `vbscript:msgbox(1)`, `https://example.org/"onmouseover="${run}`, `https://example.org/'onmouseover='${run}`, `https://example.org/><script>${run}</script>`, `https://example.org/&quot;onclick=${run}`,
		`http://javascript:${run}`, `https://example.org/#<img src=x onerror=${run}>`, `https://<script>${run}</script>`, `<<script>${run}//<</script>`, `<script>${run}`, `<x onclick=${run}>x`, `<custom-element onpointerenter=${run}>`, `<p slot=x onwheel=${run}>`,
		`@ann"><img src=x onerror=${run}>`, `@<script>${run}</script>`, `\u003cscript\u003e${run}\u003c/script\u003e`, `&lt;script&gt;${run}&lt;/script&gt;`, `%3Cscript%3E${run}%3C/script%3E`, `＜script＞${run}＜/script＞`, `<ſcript>${run}</ſcript>`, `<!--<img src="--><img src=x onerror=${run}//">`,
		`<![CDATA[<script>${run}</script>]]>`, `<?xml version="1.0"?><x:script xmlns:x="http://www.w3.org/1999/xhtml">${run}</x:script>`, `{{constructor.constructor('${run}')()}}`, `\${${run}}`, `<img src=x onerror=\u2028${run}>`, `<plaintext>`, `<xmp>`, `<listing>`,
	];
}
