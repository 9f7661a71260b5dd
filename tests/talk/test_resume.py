"""Coming back to where one was: all the rest, once, in order, without a seam, whatever is being said meanwhile."""

import json
import random
import re
import tempfile
import threading

from events import Events, come_back, join_events, parse_event
from talk import BUILD_KIND, Server, main, on_each_journal, pump

SESSION = "00112233445566778899aabbccddeeff"
TALKERS = 5
BURST = 8
VISITS = {"plain": 25}.get(BUILD_KIND, 6)
BACK = 3000  # messages that one goes back at most


def numbered(client, count):
    """The next 'count' events of the lobby have numbers without a hole; returns them."""
    events = []
    while len(events) < count:
        event = json.loads(client.client.line())  # held against the schema elsewhere; here are very many
        assert event.get("code") != "skipped", (event, events[-1:])
        if "seq" in event and event["room"] == "lobby" and event.get("code") is None:
            assert not events or event["seq"] == events[-1]["seq"] + 1, (events[-1:], event)
            events.append(event)
    return events


def say(client, texts):
    for text in texts:
        client.say(text)
        client.expect(kind="message", text=text)


@on_each_journal
def test_who_comes_back_gets_just_the_rest_and_its_own_coming(journal):
    with Server(journal=journal) as server:
        ann = join_events(server, "ann")
        say(ann, ["one", "two"])
        ann.ask("join", room="tea", id=1)
        room = ann.expect(kind="notice", code="room", id=1)["room_id"]
        for i in range(5):
            ann.ask("send", room="tea", text=str(i))
            ann.expect(kind="message", seq=2 + i, text=str(i))
        bob = join_events(server, "bob")
        for after in (0, 1, 3, 5, 6):
            last = ann.until(kind="joined", participant="bob", room="lobby")[-1] if after == 0 else last
            bob.ask("join", room="tea", after=after, room_id=room, id=2)
            last = bob.until(kind="notice", code="room", id=2)[-1]["last"]
            for seq in range(after + 1, last + 1):
                bob.expect(room="tea", seq=seq, history=None)
            bob.ask("leave", room="tea", id=3)
            bob.until(kind="notice", id=3)
            # The one who stays sees the same numbers.
        bob.ask("join", room="tea", after=last + 1, id=4)
        bob.expect(kind="notice", code="room", id=4)
        bob.expect(kind="joined", participant="bob", room="tea", seq=last + 2)


def test_plain_lines_can_be_resumed_too():
    with Server(history="all") as server:
        ann = server.join("ann")
        for text in ("one", "two", "three"):
            ann.say(text)
            ann.expect(f"ann: {text}")
        bob = server.connect()
        bob.raw(b"bob\n/join tea --history none\n/join lobby after 3\n")
        while bob.line() != "* You are in lobby, 2 here.":
            pass
        bob.expect("ann: three", 'User "bob" just joined the chat!', 'User "bob" just left the chat (for another room)',
                   'User "bob" just joined the chat!')


class Talkers:
    """Talk without end, about as fast as a client in event mode here can read, until the end of the block."""

    def __init__(self, server):
        self.clients = [server.join(f"talker{i}") for i in range(TALKERS)]
        self.over = threading.Event()
        self.failure = None
        self.rounds = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.wait(0.01):
                start = [client.buffer.count(b"\n") for client in self.clients]
                for client in self.clients:
                    client.outgoing = b"some words, again and again\n" * BURST
                pump(self.clients, lambda client: client.buffer.count(b"\n") >= start[self.clients.index(client)] + BURST)
                for client in self.clients:
                    client.buffer.clear()
                self.rounds += 1
        except BaseException as error:
            self.failure = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()
        if self.failure:
            raise self.failure


@on_each_journal
def test_the_welcome_tells_the_number_just_before_ones_own_coming(journal):
    """Story: it told the last number of a moment before; what others said in between was neither history nor news."""
    with Server(journal="memory:1000000" if journal == "memory" else journal) as server:
        with Talkers(server):
            for _ in range(VISITS):
                bob = come_back(server, "bob", SESSION, history="none")
                (first,) = numbered(bob, 1)
                assert first["seq"] == bob.welcome["last"] + 2, (bob.welcome, first)  # one's own coming is not shown
                bob.client.close()


@on_each_journal
def test_there_is_no_hole_and_no_double_at_the_seam_while_others_talk(journal):
    chance = random.Random(20261121)
    with Server("--lag-memory", "64K", journal="memory:1000000" if journal == "memory" else journal) as server:
        with Talkers(server):
            after = 0
            for visit in range(VISITS):
                bob = come_back(server, "bob", SESSION, after=after)
                assert bob.welcome["participant"] == "bob", bob.welcome
                last = bob.welcome["last"]
                events = numbered(bob, last - after + 100 + chance.randrange(500))
                assert events[0]["seq"] == after + 1, (after, events[0])
                own = [event for event in events if event["kind"] == "joined" and event["participant"] == "bob"]
                assert sum(event["seq"] > last for event in own) == 1, (visit, own, last, events[-1])
                # The next time from where it stopped, or from somewhere before.
                after = events[-1]["seq"] if visit % 3 else chance.randrange(events[-1]["seq"])
                after = max(after, events[-1]["seq"] - BACK)
                if visit % 2:
                    bob.client.reset()
                else:
                    bob.client.close()


def test_who_joins_again_where_it_is_goes_back_and_on_without_a_hole():
    chance = random.Random(7)
    with Server("--lag-memory", "64K", journal="memory:1000000") as server:
        bob = join_events(server, "bob")
        with Talkers(server):
            for _ in range(VISITS // 3):
                seq = numbered(bob, 200)[-1]["seq"]
                after = max(0, seq - chance.randrange(BACK))
                bob.ask("join", room="lobby", after=after, id=1)
                before = bob.until(kind="notice", code="room", id=1)[:-1]
                numbers = [event["seq"] for event in before if event.get("code") != "behind"]
                assert numbers == list(range(seq + 1, seq + 1 + len(numbers)))
                # What was on its way when it was asked is read to the end of a record; then it goes back.
                event = bob.event()
                while event["seq"] != after + 1:
                    assert event["seq"] == seq + 1 + len(numbers), (event, seq, len(numbers), after)
                    numbers.append(event["seq"])
                    event = bob.event()
                assert numbered(bob, 100)[0]["seq"] == after + 2


def test_after_a_number_that_does_not_exist_yet_one_gets_what_is_said_now():
    with Server(history="all") as server:
        ann = join_events(server, "ann")
        say(ann, ["one", "two"])
        for after in (10, 1000000, 10 ** 17):
            bob = come_back(server, "bob", SESSION, after=after)
            ann.until(kind="joined", participant="bob")
            ann.say("now")
            ann.expect(kind="message", text="now")
            bob.expect(kind="message", text="now", history=None)
            bob.client.close()
            ann.until(kind="left", participant="bob")


def test_the_number_of_a_room_that_was_made_anew_does_not_count():
    with Server(history="2") as server:
        ann = join_events(server, "ann")
        say(ann, ["one", "two", "three"])
        bob = come_back(server, "bob", SESSION, after=2, room_id="0" * 20)
        bob.expect(kind="message", text="two", history=True)
        bob.expect(kind="message", text="three", history=True)
        bob.ask("join", room="lobby", after=2, room_id=bob.welcome["room_id"])
        bob.expect(kind="notice", code="room")
        bob.expect(kind="message", text="two", seq=3, history=None)
        bob.expect(kind="message", text="three", seq=4, history=None)
        bob.expect(kind="joined", participant="bob", seq=5)
        bob.ask("join", room="lobby", after=2, room_id="1" * 20, history=1)
        bob.expect(kind="notice", code="room")
        bob.expect(kind="message", text="three", seq=4, history=True)


def test_wrong_numbers_and_ids_are_explained():
    with Server() as server:
        ann = join_events(server, "ann")
        for fields in ({"after": "x"}, {"after": -1}, {"after": 1.5}, {"after": None}, {"room_id": 7.5}, {"history": []},
                       {"room_id": "a b"}, {"room_id": ""}, {"history": "all of it"}):
            ann.ask("join", room="tea", id=1, **fields)
            ann.expect(kind="error", code="bad-request", id=1)
        for fields in ({"room_id": "x"}, {"room_id": 7, "after": 1}, {"history": "some"}, {"history": 10 ** 18},
                       {"after": 10 ** 18}):
            ann.ask("join", room="tea", id=2, **fields)
            ann.expect(kind="error", code="usage", id=2)
        for fields in ({"after": 1}, {"history": "all"}):
            ann.ask("join", id=3, **fields)
            ann.expect(kind="error", code="bad-request", id=3)


def test_the_first_line_may_be_a_request():
    with Server(history="all") as server:
        ann = server.join("ann")
        ann.say("hello")
        ann.expect("ann: hello")
        client = server.connect()
        client.say(json.dumps({"op": "session", "session": SESSION, "name": "Johnny Boi", "id": "x"}))
        welcome = parse_event(client.line())
        assert welcome["kind"] == "welcome" and welcome["participant"] == "Johnny Boi" and welcome["id"] == "x", welcome
        assert welcome["last"] == 2 and welcome["mark"] == 0
        assert parse_event(client.line())["text"] == "hello"
        ann.expect('User "Johnny Boi" just joined the chat!')
        other = come_back(server, "ANN", "f" * 32)
        assert re.fullmatch("ANN#[0-9a-f]{6}", other.welcome["participant"]), other.welcome


def test_a_first_request_that_is_wrong_is_explained_and_ends_the_connection():
    with Server() as server:
        for line, code in ((b"{", "bad-request"), (b'{"op":"send","text":"x"}', "bad-request"), (b"{}", "bad-request"),
                           (b'{"op":"session"}', "bad-request"), (b'{"op":"session","session":"x","name":"bob"}', "usage"),
                           (b'{"op":"session","session":"%s","name":"bob"}' % (b"g" * 32), "usage"),
                           (b'{"op":"session","session":"%s"}' % (b"a" * 32), "usage"),
                           (b'{"op":"session","session":"%s","name":""}' % (b"a" * 32), "usage"),
                           (b'{"op":"session","session":"%s","name":"b*b"}' % (b"a" * 32), "bad-name"),
                           (b'{"op":"session","session":"%s","name":"%s"}' % (b"a" * 32, b"x" * 51), "bad-name"),
                           (b'{"op":"session","session":"%s","name":"bob","after":-1}' % (b"a" * 32), "bad-request"),
                           (b'{"op":"session","session":"%s","name":"bob","history":"x"}' % (b"a" * 32), "usage")):
            client = server.connect()
            client.raw(line + b'\n{"op":"send","text":"not said"}\n')
            lines = client.rest()
            assert len(lines) == 1 and parse_event(lines[0])["code"] == code, (line, lines)
        bob = server.join("bob")
        bob.say("/who")
        bob.expect("* 1 here: bob")


def test_a_long_rest_comes_in_order_to_one_who_reads_slowly():
    with Server("--lag-memory", "64K", journal="memory:100000") as server:
        ann = server.join("ann")
        ann.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 300) for i in range(20000))
        pump([ann], lambda client: client.buffer.count(b"\n") == 20000)
        bob = Events(server.connect(receive_buffer=4096),
                     begin=json.dumps({"op": "session", "session": SESSION, "name": "bob", "after": 1}))
        behind = 0
        for seq in range(2, 20003):
            event = bob.event()
            if event.get("code") == "behind":
                behind += 1
                assert 19000 < event["count"] <= 20002, event
                event = bob.event()
            assert event["seq"] == seq, event
        assert behind == 1 and event["kind"] == "joined"


def test_after_a_restart_one_comes_back_to_where_one_was():
    with tempfile.TemporaryDirectory() as folder:
        seen = {"lobby": 0, "tea": 0}
        rooms = {}
        for stay in range(4):
            with Server(journal=f"sqlite:{folder}/talk.db", history="all") as server:
                fields = {"after": seen["lobby"], "room_id": rooms["lobby"]} if stay else {}
                bob = come_back(server, "bob", SESSION, **fields)
                fields = {"after": seen["tea"], "room_id": rooms["tea"]} if stay else {}
                bob.ask("join", room="tea", id=1, **fields)
                answers = []

                def take():
                    event = bob.event()
                    if event.get("code") == "room" or event["kind"] == "notice":
                        answers.append(event)
                    else:
                        seen[event["room"]] += 1
                        assert event["seq"] == seen[event["room"]], (seen, event)
                    return event
                if stay == 0:
                    seen = {"lobby": 1, "tea": 1}  # who comes for the first time does not see its own coming
                while not answers:
                    take()
                assert not rooms or rooms["tea"] == answers[0]["room_id"] and rooms["lobby"] == bob.welcome["room_id"]
                rooms = {"tea": answers[0]["room_id"], "lobby": bob.welcome["room_id"]}
                for i in range(5):
                    bob.ask("send", room="tea", text=f"{stay} {i}")
                    bob.ask("send", room="lobby", text=f"{stay} {i}")
                said = 0
                while said < 10:
                    event = take()
                    said += event["kind"] == "message" and event["text"].startswith(f"{stay} ")
                # What somebody says while bob is away.
                bob.client.close()
                ann = server.connect()
                ann.raw(b"ann\n/join tea --history none\n")
                ann.say("meanwhile")
                while ann.line() != "ann: meanwhile":
                    pass
                server.stop()


if __name__ == "__main__":
    main()
