"""Several servers on one engine: a room is the same room everywhere, and so are the people in it."""

import functools
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request

from events import come_back
from talk import Server, Skip, main, pump, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))
import postgres  # noqa: E402
import redis  # noqa: E402

WAITS = re.compile(r"\* You wait for a stranger in room ([0-9a-f]{20}); /leave gives up\.")
MEETS = re.compile(r"\* You met a stranger in room ([0-9a-f]{20})\. Say hello; /leave ends it\.")
HOME = "* You are in lobby. /join finds a stranger, /rooms lists the rooms."
DEAD_WITHIN = 15  # seconds, after which a dead server's people are gone


def engines():
    """The engines of which the server was built with one and that are here; the test runs with each."""
    wanted = os.environ.get("CLUSTER_ENGINES", "redis postgres").split()
    return [engine for name, engine in (("redis", redis.Redis), ("postgres", postgres.Postgres)) if name in wanted]


def on_each_engine(test):
    @functools.wraps(test)
    def run():
        missing = []
        for engine in engines():
            print(f"with {engine.__name__}:", flush=True)
            try:
                database = engine()
            except (redis.Skip, postgres.Skip) as reason:
                missing.append(str(reason))
                continue
            with database:
                test(database.url)
        if missing:
            raise Skip("; ".join(missing))
    return run


def came(name):
    return f'User "{name}" just joined the chat!'


def went(name, how="normally"):
    return f'User "{name}" just left the chat ({how})'


def until(client, wanted):
    """Reads up to the line that is wanted; returns its match, or it."""
    while True:
        line = client.line()
        match = wanted.fullmatch(line) if isinstance(wanted, re.Pattern) else line == wanted
        if match:
            return match


def ask(client, line, wanted):
    client.say(line)
    return until(client, wanted)


def join_freed(server, name):
    """Somebody who takes a name that somebody else has just left: that is told before the name is free."""
    def try_to():
        client = server.connect()
        client.say(name)
        if client.expect_welcome(re.compile(re.escape(name) + "(#[0-9a-f]{6})?")) == name:
            return client
        client.say("/quit")
        client.rest()
        return None
    return wait_for(try_to, f"the name {name} is free")


@on_each_engine
def test_a_name_is_somebodys_on_all_servers(url):
    with Server(journal=url) as a, Server(journal=url) as b, Server(journal=url) as c:
        a.join("bob")
        tagged = []
        for server in (b, c):
            client = server.connect()
            client.say("BOB")
            tagged.append(client.expect_welcome(re.compile("BOB#[0-9a-f]{6}")))
        assert len(set(tagged)) == 2
        ann = b.join("ann")
        ask(ann, "/nick bob", re.compile(r'User "ann" is now known as "bob#[0-9a-f]{6}".*|.*ann.*bob#[0-9a-f]{6}.*'))
        a.clients[0].say("/quit")
        a.clients[0].rest()
        join_freed(c, "bob")


@on_each_engine
def test_who_and_rooms_and_counts_are_those_of_all_servers(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        bob = b.join("bob")
        until(ann, came("bob"))
        for client in (ann, bob):
            ask(client, "/who", "* 2 here: ann, bob")
        ask(ann, "/join tea", re.compile(r"\* You are in tea, 1 here\..*"))
        until(bob, went("ann", "for another room"))
        ask(bob, "/who", "* 1 here: bob")
        ask(bob, "/who tea", "* 1 in tea: ann")
        ask(bob, "/rooms", "* 2 rooms:")
        bob.expect("* lobby (1)", "* tea (1)")
        listed = urllib.request.urlopen(f"http://127.0.0.1:{b.port}/rooms", timeout=20).read().decode()
        assert re.search(r'"name":"tea","topic":"","people":1,', listed), listed
        ask(bob, "/join tea", "* You are in tea, 2 here.")
        ask(bob, "/topic green", re.compile(".*green.*"))
        until(ann, re.compile(".*green.*"))
        ask(ann, "/topic", "* the topic of tea is: green")


@on_each_engine
def test_people_talk_to_each_other_alone_across_servers(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        bob = b.join("Bob")
        until(ann, came("Bob"))
        for asker, server_name, other, called in ((ann, "ann", bob, "Bob"), (bob, "Bob", ann, "ann")):
            asker.say(f'/dm {called.upper()} "tea"\tand \\ cake')
            line = until(other, re.compile(r".*and \\ cake"))
            assert server_name in line.group(0), line.group(0)
            line = until(asker, re.compile(r".*and \\ cake"))
            assert called in line.group(0), line.group(0)
        ask(ann, "/join tea", re.compile(r"\* You are in tea, 1 here\..*"))
        ask(ann, "/invite bob", "* Bob is invited to tea")
        room = until(bob, re.compile(r"\* ann invites you to tea; /join ([0-9a-f]{20}) goes there")).group(1)
        ask(bob, f"/join {room}", "* You are in tea, 2 here.")
        ask(bob, "/ignore Ann", "* you ignore ann; /ignore ann again ends that")
        ask(ann, "/dm bob hello", "! ignored: Bob does not want to hear from you alone; say it in a room")
        ask(ann, "/invite bob", "! ignored: Bob does not want to hear from you alone")
        ask(bob, "/ignore ann", "* you no longer ignore ann")
        ask(ann, "/dm bob hello again", re.compile(".*hello again"))
        until(bob, re.compile(".*hello again"))
        ask(ann, "/dm nobody hello", "! no-such-user: nobody here is named nobody; /who lists who is in the room")
        bob.say("/quit")
        bob.rest()
        until(ann, went("Bob"))
        ask(ann, "/dm bob hello", "! no-such-user: nobody here is named bob; /who lists who is in the room")


@on_each_engine
def test_who_is_on_a_server_that_does_not_answer_may_have_been_told_or_not(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        bob = b.join("bob")
        until(ann, came("bob"))
        b.send_signal(signal.SIGSTOP)
        ask(ann, "/dm bob hello", "! not-told: the server where bob is does not answer, so it is not known whether bob was told; try again"
            " later")
        b.send_signal(signal.SIGCONT)
        until(bob, re.compile(".*hello"))  # the letter waited for it
        ask(ann, "/dm bob again", re.compile(".*again"))
        until(bob, re.compile(".*again"))


@on_each_engine
def test_who_made_a_room_closes_it_from_another_server_and_it_ends_everywhere(url):
    session = "00112233445566778899aabbccddeeff"
    with Server(journal=url) as a, Server(journal=url) as b, Server(journal=url) as c:
        ann = come_back(a, "ann", session)
        ann.ask("new_room", room="tea", id=1)
        ann.until(code="room", id=1)
        bob = b.join("bob")
        ask(bob, "/join tea", "* You are in tea, 2 here.")
        cid = c.join("cid")
        ask(cid, "/join tea", "* You are in tea, 3 here.")
        ann.until(kind="joined", participant="cid", room="tea")
        ask(bob, "/delete-room tea", re.compile("! not-allowed: .*"))
        ann = come_back(c, "ann", session)  # on another server, where her room was not made
        assert ann.welcome["participant"] == "ann", ann.welcome
        until(bob, went("ann", "connection lost"))
        ann.ask("delete_room", room="tea", id=2)
        ann.until(kind="notice", text="tea is closed", id=2)
        for client in (bob, cid):
            until(client, HOME)
        for client in (bob, cid):
            ask(client, "/who tea", re.compile(r"! no-such-room: there is no room tea;.*"))
        ask(bob, "/join tea", "* You are in tea, 1 here.")  # a new one
        ask(cid, "/join tea", "* You are in tea, 2 here.")


@on_each_engine
def test_nobody_gets_into_the_mailbox_of_a_server(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        until(ann, came(b.join("bob") and "bob"))
        mailbox = "@" + 19 * "0"
        for command in (f"/join {mailbox}", f"/who {mailbox}", f"/delete-room {mailbox}", f"/new-room {mailbox}"):
            ask(ann, command, re.compile("! (no-such-room|bad-room-name): .*"))
        for path in ("", "/messages", "/stream"):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{a.port}/rooms/%40{19 * '0'}{path}", timeout=20)
                raise AssertionError("it was shown")
            except urllib.error.HTTPError as error:
                assert error.code == 404, (path, error.code)


@on_each_engine
def test_strangers_of_two_servers_meet_once(url):
    pairs = 50
    with Server(journal=url) as a, Server(journal=url) as b, Server(journal=url) as c:
        servers = (a, b, c)
        crowd = [servers[i % 3].connect() for i in range(2 * pairs)]
        for i, client in enumerate(crowd):
            client.say(f"p{i}")
        pump(crowd, lambda client: b"* Welcome " in client.buffer)
        for client in crowd:
            client.outgoing = b"/join\n"
        met = re.compile(rb"You met a stranger in room ([0-9a-f]{20})")
        waits = re.compile(rb"You wait for a stranger in room ([0-9a-f]{20})")
        pump(crowd, lambda client: met.search(client.buffer) or waits.search(client.buffer))
        rooms = {}
        for i, client in enumerate(crowd):
            found = met.search(client.buffer) or waits.findall(client.buffer)
            room = found.group(1) if met.search(client.buffer) else found[-1]
            rooms.setdefault(room, []).append(i)
        odd = {room: [(i, bytes(crowd[i].buffer)) for i in people] for room, people in rooms.items() if len(people) != 2}
        assert not odd, odd
        for client in crowd:
            client.outgoing = b"/who\n"
        pump(crowd, lambda client: b"* 2 here: " in client.buffer)
        for one, other in rooms.values():
            crowd[one].say(f"hello from {one}")
            until(crowd[other], f"p{one}: hello from {one}")


@on_each_engine
def test_strangers_who_parted_meet_others_and_one_who_leaves_ends_the_pair_elsewhere(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        bob = b.join("bob")
        room = ask(ann, "/join", WAITS).group(1)
        assert ask(bob, "/join", MEETS).group(1) == room
        until(ann, came("bob"))
        ask(bob, "/leave", HOME)
        until(ann, went("bob", "for another room"))
        until(ann, HOME)
        ask(ann, f"/join {room}", re.compile("! no-such-room: .*"))
        ask(ann, "/join", WAITS)
        cid = b.join("cid")
        third = ask(cid, "/new-room", WAITS).group(1)
        assert ask(bob, "/join", MEETS).group(1) == third  # ann was the last one, and waits longer
        ask(bob, "/leave", HOME)
        ask(bob, "/ignore ann", "* you ignore ann; /ignore ann again ends that")
        ask(bob, "/join", WAITS)


@on_each_engine
def test_who_comes_back_on_another_server_after_its_own_was_killed_is_itself(url):
    session = "0123456789abcdef0123456789abcdef"
    with Server(journal=url) as b:
        with Server(journal=url) as a:
            a.checked = True
            bob = come_back(a, "bob", session)
            ann = b.join("ann")
            bob.until(kind="joined", participant="ann")
            for i in range(20):
                bob.say(f"line {i}")
            for i in range(20):
                until(ann, f"bob: line {i}")
                seen = bob.until(kind="message", text=f"line {i}")[-1]
            a.process.kill()
            a.process.wait()
            for i in range(20):
                ann.say(f"while he was away {i}")
        # At once: the name is its own.
        bob = come_back(b, "bob", session, after=seen["seq"], room_id=bob.welcome["room_id"])
        assert bob.welcome["participant"] == "bob", bob.welcome
        until(ann, came("bob"))
        texts = [event for event in bob.until(kind="message", text="while he was away 19") if event["kind"] == "message"]
        assert [event["text"] for event in texts] == [f"while he was away {i}" for i in range(20)], texts
        assert [event["seq"] for event in texts] == [seen["seq"] + 1 + i for i in range(20)], texts
        ask(ann, "/who", "* 2 here: ann, bob")


@on_each_engine
def test_the_people_of_a_dead_server_are_gone_soon_and_a_stopped_server_comes_back(url):
    with Server(journal=url) as a, Server(journal=url) as b:
        ann = a.join("ann")
        with Server(journal=url) as dead:
            dead.checked = True
            dead.join("dan")
            until(ann, came("dan"))
            start = time.monotonic()
            dead.process.kill()
            dead.process.wait()
        bob = b.join("bob")
        eve = b.join("eve")
        b.send_signal(signal.SIGSTOP)
        gone = set()
        while gone != {"dan", "bob", "eve"}:  # whose server beat last when is nobody's business
            gone.add(until(ann, re.compile(r'User "(\w+)" just left the chat \(.*\)')).group(1))
        assert time.monotonic() - start < DEAD_WITHIN + 2, "it took too long"
        ask(ann, "/who", "* 1 here: ann")
        other = a.join("bob")  # the name is free
        b.send_signal(signal.SIGCONT)
        name = until(bob, re.compile(r".*(bob#[0-9a-f]{6}).*")).group(1)
        back = re.compile(r'User "(eve|bob#[0-9a-f]{6})" just joined the chat!')
        assert {until(ann, back).group(1) for _ in range(2)} == {"eve", name}
        wait_for(lambda: ask(ann, "/who", re.compile(r"\* (\d) here: .*")).group(1) == "4", "all are there again")
        ask(eve, "/dm ann from eve", re.compile(".*from eve"))
        until(ann, re.compile(".*from eve"))
        ask(ann, f"/dm {name} to bob", re.compile(".*to bob"))
        until(bob, re.compile(".*to bob"))
        other.say("here too")
        until(bob, "bob: here too")


main()
