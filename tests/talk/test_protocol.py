"""
Every example of docs/PROTOCOL.md is true.

An example is an indented block; '>' is a line that the client sends, '<' one that the server sends. Below is told for each
what has to be so before: who is there, and what it is an example of. What differs each time (six hex digits, the port, a
time, a count) counts as a pattern. An example without such a telling fails, so none can be added to the page untested.
"""

import re
from pathlib import Path

from talk import GREETING, MAX_LINE, Server, main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"


def examples():
    """The blocks of the page, each a list of (direction, line)."""
    blocks = [[]]
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r" {4}([<>]) ?(.*)", line)
        if match:
            blocks[-1].append(match.groups())
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


VARYING = [r"#[0-9a-f]{6}", r"(?<=127\.0\.0\.1:)\d+", r"(?<=within )\d+", r"(?<=\()\d+(?= messages)"]


def pattern_of(line):
    """The line as a pattern, with what differs each time left open."""
    result = ""
    place = 0
    for match in re.finditer("|".join(VARYING), line):
        result += re.escape(line[place:match.start()]) + (r"#[0-9a-f]{6}" if match.group().startswith("#") else r"\d+")
        place = match.end()
    return re.compile(result + re.escape(line[place:]))


def converse(client, block):
    for direction, line in block:
        if direction == ">":
            client.say(line)
        else:
            client.expect(pattern_of(line))


def fresh(block):
    with Server("--name-timeout", "1") as server:
        client = server.connect()
        if block[0][1].startswith("! name-timeout"):
            client.expect(GREETING)
        converse(client, block)


def beside_another_bob(block):
    with Server() as server:
        server.join("bob")
        converse(server.connect(), block)


def as_bob(block):
    with Server() as server:
        converse(server.join("bob"), block)


def as_bob_beside_ann(block):
    with Server() as server:
        server.join("ann")
        converse(server.join("bob"), block)


def after_a_long_line(block):
    with Server() as server:
        bob = server.join("bob")
        bob.say("x" * (MAX_LINE + 1))
        converse(bob, block)
        bob.say("what follows")
        bob.expect("bob: what follows")


def about_ann(block):
    """Ann comes, goes, comes again and is cut off."""
    with Server() as server:
        bob = server.join("bob")
        seen = []
        for leave in ("half_close", "reset"):
            ann = server.join("ann")
            seen.append(bob.line())
            getattr(ann, leave)()
            seen.append(bob.line())
        for _, line in block:
            assert line in seen, (line, seen)


def at_the_end(block):
    with Server() as server:
        bob = server.join("bob")
        server.stop()
        converse(bob, block)
        bob.expect_end()


def after_not_reading(block):
    """Bob does not read while more is said than the kernel and a journal of 10 messages keep."""
    with Server("--lag-memory", "64K", journal="memory:10") as server:
        bob = server.join("bob", receive_buffer=4096)
        ann = server.join("ann")
        for i in range(1500):
            ann.say(f"{i} " + "x" * 8000)
            ann.line()
        ann.say("the end")
        wanted = pattern_of(block[0][1])
        lines = [bob.line()]
        while lines[-1] != "ann: the end":
            lines.append(bob.line())
        assert any(wanted.fullmatch(line) for line in lines), "nothing was skipped"


SITUATIONS = [
    # A part of the first example it is meant for, and what to do. The first that fits counts.
    ("Welcome bob#", beside_another_bob),
    ("Welcome ", fresh),
    ("bad-name", fresh),
    ("name-timeout", fresh),
    ("line-too-long", after_a_long_line),
    ("just joined the chat!", about_ann),
    ("just left the chat", about_ann),
    ("was terminated its operation", at_the_end),
    ("messages skipped", after_not_reading),
    ("2 here: ann, bob", as_bob_beside_ann),
    ("bob: ", as_bob),
    ("Goodbye bob", as_bob),
    ("unknown-command", as_bob),
    ("> /help", as_bob),
]


def test_every_example_of_the_page_is_true():
    blocks = examples()
    assert len(blocks) >= 14, "the page has lost its examples, or their form has changed"
    for block in blocks:
        text = "\n".join(f"{direction} {line}" for direction, line in block)
        print(text, end="\n\n", flush=True)
        situation = next((function for part, function in SITUATIONS if part in text), None)
        assert situation, "this example of docs/PROTOCOL.md has no situation in SITUATIONS"
        situation(block)


def test_every_error_code_of_the_page_has_its_table_line():
    page = PAGE.read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.M))
    assert {"bad-name", "name-timeout", "line-too-long", "unknown-command", "server-full", "not-stored"} <= table
    for code in re.findall(r"^ {4}< ! ([a-z-]+): ", page, re.M):
        assert code in table, f"{code} is not in the table of errors"


def test_every_error_code_of_the_server_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    sources = (PAGE.parents[1] / "tcpserver").rglob("*.c")
    for source in sources:
        for code in re.findall(r'session_error\(\s*[^;"]*?"([a-z-]+)"', source.read_text(encoding="utf-8")):
            assert f"`{code}`" in page, f"{code} of {source.name} is not on the page"


if __name__ == "__main__":
    main()
