"""Servers that share a Redis: the same rooms, numbers and order; what is lost with a server, and with Redis, and what is not."""

import collections
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))

from events import come_back, join_events  # noqa: E402
from redis import Redis  # noqa: E402
from redis import Skip as NoRedis  # noqa: E402
from talk import Server, main, skip, wait_for  # noqa: E402

SESSION = "00112233445566778899aabbccddeeff"
PATIENCE = ("--journal-patience", "30")
MANY = 300
PAIRS = 100


def database(**options):
    try:
        return Redis(**options)
    except NoRedis as reason:
        return skip(str(reason))


def send(client, text, number):
    """Sends, and returns the number that the message was kept as."""
    client.ask("send", text=text, id=number)
    return client.until(kind="notice", code="said", id=number)[-1]["seq"]


def messages(client, last):
    """What was said in the lobby until that text: pairs of number and text."""
    return [(event["seq"], event["text"]) for event in client.until(kind="message", text=last) if event["kind"] == "message"]


def test_two_servers_have_the_same_numbers_and_order():
    with database() as redis, Server(journal=redis.url) as one, Server(journal=redis.url) as two:
        ann, bob = join_events(one, "ann"), join_events(two, "bob")
        ann.until(kind="joined", participant="bob")
        for i in range(MANY):
            ann.ask("send", text=f"a{i}", id=i + 1)
            bob.ask("send", text=f"b{i}", id=i + 1)
        for client in (ann, bob):
            client.said, left = [], {f"a{MANY - 1}", f"b{MANY - 1}"}
            while left:
                event = client.event()
                if event["kind"] == "message":
                    client.said.append((event["seq"], event["participant"], event["text"]))
                    left.discard(event["text"])
        assert ann.said == bob.said
        numbers = [seq for seq, _, _ in ann.said]
        assert numbers == list(range(numbers[0], numbers[0] + 2 * MANY)), numbers
        for name in ("ann", "bob"):
            assert [text for _, who, text in ann.said if who == name] == [f"{name[0]}{i}" for i in range(MANY)]


def test_who_loses_its_server_goes_on_at_the_other():
    with database() as redis, Server(journal=redis.url) as two:
        with Server(journal=redis.url) as one:
            ann = join_events(two, "ann")
            bob = come_back(one, "bob", SESSION)
            first = send(bob, "one", 1)
            ann.until(kind="message", text="one")
            one.process.kill()
            one.process.wait()
            one.checked = True
        second = send(ann, "meanwhile", 1)
        bob = come_back(two, "bob", SESSION, after=first)
        assert (second, "meanwhile") in messages(bob, "meanwhile")
        assert send(bob, "one", 1) == first, "the same number of the same client is the same message on all servers"
        assert send(bob, "two", 2) > second


def lose_nothing(redis, disturb):
    with Server(*PATIENCE, journal=redis.url) as one, Server(*PATIENCE, journal=redis.url) as two:
        ann, bob = join_events(one, "ann"), join_events(two, "bob")
        ann.until(kind="joined", participant="bob")
        said = {send(ann, "before", 1): "before"}
        disturb(redis, lambda: [ann.ask("send", text=f"during {i}", id=2 + i) for i in range(20)])
        for i in range(20):
            said[ann.until(kind="notice", code="said", id=2 + i)[-1]["seq"]] = f"during {i}"
        said[send(ann, "after", 100)] = "after"
        assert dict(messages(bob, "after")) == said
        assert list(said) == sorted(said)


def test_nothing_that_was_acknowledged_is_lost_when_redis_is_killed():
    def disturb(redis, talk):
        redis.kill()
        talk()
        redis.start()
    with database(appendfsync="always") as redis:
        lose_nothing(redis, disturb)


def test_a_redis_that_stands_still_for_long_only_delays():
    def disturb(redis, talk):
        redis.pause()
        talk()
        wait_for(lambda: redis.stands_still_for(7), "the servers give it up")
        redis.go_on()
    with database() as redis:
        lose_nothing(redis, disturb)


# It waited for the fate of what was under way, and never ended.
def test_a_server_stops_soon_while_redis_stands_still():
    with database() as redis, Server(*PATIENCE, journal=redis.url) as server:
        crowd = [server.join(f"p{i}") for i in range(10)]
        redis.pause()
        for client in crowd:
            client.say("is this kept?")
        wait_for(lambda: redis.stands_still_for(6), "the server has lost its link")
        server.stop(seconds=15)
        redis.go_on()


# The first server that was back took the others for dead, which had had no time to beat.
def test_nobody_leaves_because_redis_was_away_for_long():
    with database() as redis, Server(*PATIENCE, journal=redis.url) as one, Server(*PATIENCE, journal=redis.url) as two:
        ann, bob = one.join("ann"), two.join("bob")
        for client, words in ((ann, "You wait for a stranger"), (bob, "You met a stranger")):
            client.say("/join")
            while words not in client.line():
                pass
        while ann.line() != 'User "bob" just joined the chat!':
            pass
        redis.pause()
        wait_for(lambda: redis.stands_still_for(14), "the servers could be taken for dead")
        redis.go_on()
        ann.say("still here?")
        while (line := bob.line()) != "ann: still here?":
            assert "left" not in line and "closing" not in line, line
        bob.say("yes")
        while (line := ann.line()) != "bob: yes":
            assert "left" not in line and "closing" not in line, line


def test_what_redis_promises_is_in_the_log():
    for appendfsync, words in (("always", "nothing that was acknowledged is lost in a power cut"), ("everysec", "about the last second"),
                               (None, "since its last snapshot")):
        with database(appendfsync=appendfsync) as redis, Server(journal=redis.url) as server:
            server.log.wait("journal-promise.*" + re.escape(words))


def test_a_redis_that_has_lost_everything_is_gone_on_with():
    """Above the numbers that people have seen."""
    with database(appendfsync=None) as redis, Server(*PATIENCE, journal=redis.url) as server:
        ann = join_events(server, "ann")
        before = send(ann, "before", 1)
        redis.kill()
        redis.start()
        assert send(ann, "after", 2) > before
        ann.client.close()
        bob = server.join("bob")
        bob.say("/history 10")
        while not bob.line().endswith("] ann: after"):
            pass


def test_who_comes_back_after_trimming_is_told_how_many_are_missing():
    with database() as redis, Server(journal=redis.url + "?maxlen=10") as server:
        ann = join_events(server, "ann")
        bob = come_back(server, "bob", SESSION)
        first = send(bob, "one", 1)
        bob.client.close()
        for i in range(50):
            last = send(ann, str(i), i + 1)
        bob = come_back(server, "bob", SESSION, after=first)
        events = bob.until(kind="message", text="49")
        numbers = [event["seq"] for event in events if event.get("room") == "lobby" and "seq" in event and event.get("code") is None]
        skipped = [event for event in events if event.get("code") == "skipped"]
        assert len(skipped) == 1, events
        text = re.search(r"(\d+) messages skipped", skipped[0]["text"])
        count = int(text.group(1)) if text else skipped[0]["count"]
        assert numbers[0] == first + count + 1 and last in numbers, (first, count, numbers)


def test_strangers_of_two_servers_meet_once():
    """All at once: nobody is alone in the end, and nobody has two partners."""
    with database() as redis, Server(journal=redis.url) as one, Server(journal=redis.url) as two:
        people = [server.join(f"{name}{i}") for i in range(PAIRS) for server, name in ((one, "a"), (two, "b"))]
        for person in people:
            person.say("/join")
        rooms = {}
        for person in people:
            line = person.line()
            while not re.match(r"\* You (met|wait for) a stranger in room", line):
                line = person.line()
            rooms[person] = re.search(r"in room ([0-9a-f]{20})", line).group(1)
            if " met " in line:
                person.say("hello")
        for person in people:
            while not re.fullmatch(r"[ab]\d+: hello", person.line()):
                pass
        assert sorted(collections.Counter(rooms.values()).values()) == [2] * PAIRS


if __name__ == "__main__":
    main()
