"""
Every example of docs/PROTOCOL.md is true.

An example is an indented block; '>' is a line that the client sends, '<' one that the server sends. Below is told for each
what has to be so before: who is there, and what it is an example of. What differs each time (six hex digits, the port, a
time, a count) counts as a pattern. An example without such a telling fails, so none can be added to the page untested.
"""

import json
import re
import socket
from pathlib import Path

from events import SCHEMA, faults, join_events
from talk import GREETING, MAX_LINE, Client, Server, main

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


VARYING = [r"#[0-9a-f]{6}", r"(?<=127\.0\.0\.1:)\d+", r"(?<=within )\d+", r"(?<=\()\d+(?= messages)", r"[0-9a-f]{20}",
           r"(?<=You are )\d+(?= messages)", r'(?<="count":)\d+', r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ",
           r'(?<=_at":")[^"]+', r'(?<="at":")[^"]+', r"\d{4}-\d\d-\d\d at \d\d:\d\d"]
LOOKS = [(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"),
         (r"\d{4}-\d\d-\d\d at \d\d:\d\d", r"\d{4}-\d\d-\d\d at \d\d:\d\d"), (r"#[0-9a-f]{6}", r"#[0-9a-f]{6}"), (r"\d+", r"\d+"), (r"[0-9a-f]{20}", r"[0-9a-f]{20}"), (r".*", r'[^"]+')]


def pattern_of(line):
    """The line as a pattern, with what differs each time left open."""
    result = ""
    place = 0
    for match in re.finditer("|".join(VARYING), line):
        look = next(look for kind, look in LOOKS if re.fullmatch(kind, match.group()))
        result += re.escape(line[place:match.start()]) + look
        place = match.end()
    return re.compile(result + re.escape(line[place:]))


def converse(client, block):
    for direction, line in block:
        if line.startswith("{") and direction == "<":
            wrong = faults(json.loads(line), SCHEMA)
            assert not wrong, wrong
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
    """Ann comes and goes, is cut off, and goes to another room."""
    seen = []
    for leave in (Client.half_close, Client.reset, lambda client: client.say("/join tea")):
        with Server() as server:  # a new one each time: her name is free only after others were told that she left
            bob = server.join("bob")
            ann = server.join("ann")
            seen.append(bob.line())
            leave(ann)
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
        assert any(wanted.fullmatch(line) for line in lines), "this was not told"


def with_history(block):
    """Ann is in tea, and said something there."""
    with Server(history=None) as server:
        ann = server.join("ann")
        ann.say("/join tea")
        ann.expect("* You are in tea, 1 here.")
        ann.say("is there tea?")
        ann.expect("ann: is there tea?")
        converse(server.join("bob"), block)


def with_pages_of_history(block):
    """In tea Dan came and went, Carl came, Ann said two things, which are messages 5 and 6, and Carl went."""
    with Server() as server:
        ann = server.join("ann")
        ann.say("/join tea")
        ann.expect("* You are in tea, 1 here.")
        for name, words in (("dan", ()), ("carl", ("here", "there"))):
            guest = server.join(name)
            guest.say("/join tea")
            guest.expect("* You are in tea, 2 here.")
            for word in words:
                ann.say(word)
                guest.expect(f"ann: {word}")
            guest.say("/quit")
            guest.rest()
            ann.expect(f'User "{name}" just joined the chat!', *[f"ann: {word}" for word in words],
                       f'User "{name}" just left the chat (normally)')
        bob = server.join("bob")
        if "after" not in block[0][1]:
            bob.say("/join tea")
            bob.expect("* You are in tea, 2 here.")
        converse(bob, block)


def lag_in_events(block):
    """A line of history; then what is told to one that does not read, with a journal of 10 messages."""
    with Server("--lag-memory", "64K", journal="memory:10") as server:
        ann = server.join("ann")
        ann.say("here")
        bob = join_events(server, "bob")
        bob.ask("history", id=1)
        seen = bob.until(kind="notice", id=1)[:1]
        bob.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for i in range(1500):
            ann.say(f"{i} " + "x" * 8000)
            ann.line()
        ann.say("the end")
        seen += [event for event in bob.until(kind="message", text="the end") if event["kind"] == "notice"]
    assert len(block) == 3
    for _, line in block:
        wanted = json.loads(line)
        assert not faults(wanted, SCHEMA), faults(wanted, SCHEMA)
        assert any(set(event) == set(wanted) and event.get("code") == wanted.get("code") for event in seen), (line, seen)


def as_new_client(block):
    with Server() as server:
        client = server.connect()
        converse(client, block)


def as_a_session(block):
    with Server() as server:
        client = server.connect()
        client.say('{"op":"session","session":"00112233445566778899aabbccddeeff","name":"bob"}')
        client.line()
        converse(client, block)


def waiting_for_ann(block):
    """Bob waits; then Ann comes, says something and leaves."""
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        converse(bob, block[:2])
        ann.say("/join")
        ann.say("/msg hi")
        converse(bob, block[2:4])
        ann.say("/leave")
        converse(bob, block[4:])


def as_ann_to_whom_bob_waits(block):
    with Server() as server:
        bob = server.join("bob")
        bob.say("/join")
        bob.expect(re.compile(r"\* You wait .+"))
        converse(server.join("ann"), block)


def invited_by_bob(block):
    with Server() as server:
        bob = server.join("bob")
        bob.say("/join tea")
        bob.expect("* You are in tea, 1 here.")
        ann = server.join("ann")
        bob.say("/invite ann")
        converse(ann, block)


def events_of_bob(block):
    with Server() as server:
        server.join("ann")
        bob = join_events(server, "bob").client
        converse(bob, block)


def events_of_others(block):
    """Bob has said three things; then Carl comes and does one thing after the other."""
    with Server() as server:
        bob = join_events(server, "bob").client
        for _ in range(3):
            bob.say("something")
            bob.line()
        carl = server.join("carl")
        converse(bob, block[:1])
        for i, line in enumerate(("/dm bob psst", "/nick karl", "/topic tea", "/join milk", "/invite bob")):
            carl.say(line)
            converse(bob, block[1 + i:2 + i])


def a_room_is_closed(block):
    with Server() as server:
        karl = server.join("karl")
        karl.say("/join milk")
        karl.expect("* You are in milk, 1 here.")
        bob = join_events(server, "bob").client
        bob.say("/join milk")
        bob.line()
        karl.say("/delete-room milk")
        converse(bob, block)


def events_at_the_end(block):
    with Server() as server:
        bob = join_events(server, "bob").client
        server.stop()
        converse(bob, block)
        bob.expect_end()


SITUATIONS = [
    # A part of the first example it is meant for, and what to do. The first that fits counts.
    ("is there tea?", with_history),
    ("/history 1", with_pages_of_history),
    ("/join tea after", with_pages_of_history),
    ('"code":"behind"', lag_in_events),
    ('"op":"session"', as_new_client),
    ('"said","id":1,', as_a_session),
    ("no-search", as_bob),
    ("messages behind", after_not_reading),
    ("You wait for a stranger", waiting_for_ann),
    ("You met a stranger", as_ann_to_whom_bob_waits),
    ("< * bob invites you", invited_by_bob),
    ("server_shutting_down", events_at_the_end),
    ('"kind":"room_closed"', a_room_is_closed),
    ('"participant":"carl"', events_of_others),
    ("> /events", as_bob_beside_ann),
    ("< {", events_of_bob),
    ("/topic green", as_bob_beside_ann),
    ("/delete-room tea", as_bob),
    ("/jion", as_bob),
    ("no-such-user", as_bob),
    ("~ bob waves", as_bob),
    ("[bob -> ann]", as_bob_beside_ann),
    ("* you ignore carl", as_bob),
    ("0123456789ABCDEF", as_bob),
    ("* you ignore", as_bob_beside_ann),
    ("* pong", as_bob),
    ("is now", as_bob),
    ("> /help me", as_bob),
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
    ("! usage", as_bob),
    ("> /help", as_bob),
]


def test_every_example_of_the_page_is_true():
    blocks = examples()
    assert len(blocks) >= 30, "the page has lost its examples, or their form has changed"
    for block in blocks:
        text = "\n".join(f"{direction} {line}" for direction, line in block)
        print(text, end="\n\n", flush=True)
        situation = next((function for part, function in SITUATIONS if part in text), None)
        assert situation, "this example of docs/PROTOCOL.md has no situation in SITUATIONS"
        situation(block)


def test_every_error_code_of_the_page_has_its_table_line():
    page = PAGE.read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.M))
    assert len(table) > 20
    for code in re.findall(r"^ {4}< ! ([a-z-]+): ", page, re.M):
        assert code in table, f"{code} is not in the table of errors"


def test_every_error_code_of_the_server_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    sources = (PAGE.parents[1] / "tcpserver").rglob("*.c")
    for source in sources:
        for code in re.findall(r'session_error\(\s*[^;"]*?"([a-z-]+)"', source.read_text(encoding="utf-8")):
            assert f"\n| `{code}` |" in page, f"{code} of {source.name} is not in the table of errors"


def commands():
    """Name and arguments of each command, as /help tells them."""
    with Server() as server:
        bob = server.join("bob")
        bob.say("/help")
        bob.say("end")
        lines = iter(bob.line, "bob: end")
        return re.findall(r"^\* /([a-z-]+) ?(.*?) - ", "\n".join(lines), re.M)


def test_every_command_of_the_server_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    found = commands()
    assert len(found) > 15
    for name, arguments in found:
        assert f"`/{name}{arguments and ' '}{arguments}`" in page.replace("\\|", "|"), f"/{name} {arguments} is not in the table of commands"


def test_every_command_of_the_server_is_in_its_manual():
    manual = (PAGE.parent / "man" / "tcpserver.8").read_text(encoding="utf-8")
    for name, _ in commands():
        assert re.search(rf"^\.It Ic /{name}\b", manual, re.M), f"/{name} is not in tcpserver(8)"


def test_every_op_of_the_server_is_on_the_page():
    source = (PAGE.parents[1] / "tcpserver" / "doors" / "request.c").read_text(encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    ops = re.findall(r'^\t\{"([a-z_]+)", "', source, re.M)
    assert len(ops) > 10
    table = page[page.index("| `op` |"):]
    for op in ops + ["send"]:
        assert f"`{op}`" in table, f"{op} is not in the table of requests"


if __name__ == "__main__":
    main()
