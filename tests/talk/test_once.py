"""What is sent again, because it is not known whether it came, is said once."""

import re
import threading
import time

from events import come_back, join_events
from talk import Server, main, on_each_journal, pump, wait_for

ONE = "00112233445566778899aabbccddeeff"
OTHER = "ffeeddccbbaa99887766554433221100"


def send(client, text, number, **fields):
    """Sends, and returns the number that the message was kept as; the echo may come before or after."""
    client.ask("send", text=text, id=number, **fields)
    return client.until(kind="notice", code="said", id=number)[-1]["seq"]


@on_each_journal
def test_a_message_that_is_sent_twice_is_kept_once_and_acknowledged_twice(journal):
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        bob = come_back(server, "bob", ONE)
        watcher.expect('User "bob" just joined the chat!')
        first = send(bob, "one", 1)
        bob.expect(kind="message", text="one", seq=first)
        assert send(bob, "one", 1) == first
        second = send(bob, "two", 2)
        assert second == first + 1
        bob.expect(kind="message", text="two", seq=second)
        assert send(bob, "two", 2) == second and send(bob, "one", 1) == first
        assert send(bob, "whatever it says now", 1) == first
        bob.say("the end")
        bob.expect(kind="message", text="the end", seq=second + 1)
        watcher.expect("bob: one", "bob: two", "bob: the end")


@on_each_journal
def test_a_message_that_is_sent_again_over_another_connection_is_kept_once(journal):
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        numbers = {}
        for turn in range(5):
            bob = come_back(server, "bob", ONE)
            watcher.expect('User "bob" just joined the chat!')
            for number in range(1, 4 + turn):
                seq = send(bob, str(number), number)
                assert numbers.setdefault(number, seq) == seq
            fresh = [str(3 + turn)] if turn else ["1", "2", "3"]
            watcher.expect(*[f"bob: {text}" for text in fresh])
            if turn % 2:
                bob.client.reset()
                watcher.expect('User "bob" just left the chat (connection lost)')
            else:
                bob.client.half_close()
                watcher.expect('User "bob" just left the chat (normally)')


@on_each_journal
def test_different_sessions_and_rooms_do_not_collide(journal):
    with Server(journal=journal) as server:
        bob = come_back(server, "bob", ONE)
        ann = come_back(server, "ann", OTHER)
        assert send(bob, "bob's", 1) != send(ann, "ann's", 1)
        plain = join_events(server, "plain")
        assert send(plain, "plain", 1) != send(plain, "plain", 1), "without a session nothing is sent again"
        same = {send(bob, "again", "1"), send(bob, "again", "1"), send(bob, "again", 0), send(bob, "again", 0),
                send(bob, "again", -1), send(bob, "again", -1)}
        assert len(same) == 6, "strings, 0 and less are no numbers of messages"


@on_each_journal
def test_what_is_sent_again_into_another_room_is_acknowledged_with_the_room_where_it_is(journal):
    """A client that had gone to another room, and came back into the lobby: the number belongs to the other room."""
    with Server(journal=journal) as server:
        bob = come_back(server, "bob", ONE)
        bob.ask("join", room="Tea")
        bob.until(kind="notice", code="room")
        bob.ask("send", room="Tea", text="kept there", id=1)
        kept = bob.until(kind="notice", code="said", id=1)[-1]
        assert kept["room"] == "Tea", kept
        for room in ("lobby", "Tea", "lobby"):
            bob.ask("send", room=room, text="kept there", id=1)
            again = bob.until(kind="notice", code="said", id=1)[-1]
            assert (again["room"], again["seq"]) == ("Tea", kept["seq"]), again


@on_each_journal
def test_many_that_are_sent_again_at_once_are_kept_once(journal):
    count = 500
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        bob = come_back(server, "bob", ONE)
        watcher.expect('User "bob" just joined the chat!')
        block = b"".join(b'{"op":"send","text":"%d","id":%d}\n' % (i, i) for i in range(1, count + 1))
        bob.client.outgoing = block * 3
        said = rb'"code":"said"'
        pump([bob.client], lambda client: client.buffer.count(said) == 3 * count)
        kept = {}
        for number, seq in re.findall(rb'"code":"said","id":(\d+),"seq":(\d+)', bob.client.buffer):
            assert kept.setdefault(number, seq) == seq, number
        bob.client.buffer.clear()
        assert len(set(kept.values())) == count
        watcher.expect(*[f"bob: {i}" for i in range(1, count + 1)])
        bob.say("the end")
        watcher.expect("bob: the end")


@on_each_journal
def test_an_older_connection_is_replaced_and_its_name_is_free(journal):
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        ghost = come_back(server, "bob", ONE)
        ghost.ask("join", room="tea")
        ghost.expect(kind="notice", code="room")
        watcher.expect('User "bob" just joined the chat!')
        bob = come_back(server, "bob", ONE)
        assert bob.welcome["participant"] == "bob", bob.welcome
        watcher.expect('User "bob" just left the chat (connection lost)', 'User "bob" just joined the chat!')
        ghost.client.rest(reset_allowed=True)
        bob.say("/who")
        bob.until(kind="notice", text="2 here: bob, watcher")
        bob.say("here")
        watcher.expect("bob: here")
        # With another id nobody is replaced.
        other = come_back(server, "bob", OTHER)
        assert re.fullmatch("bob#[0-9a-f]{6}", other.welcome["participant"]), other.welcome


def test_a_ghost_that_does_not_read_is_replaced():
    with Server("--lag-memory", "64K") as server:
        ann = server.join("ann")
        ghost = server.connect(receive_buffer=4096)
        ghost.say('{"op":"session","session":"%s","name":"bob"}' % ONE)
        ann.expect('User "bob" just joined the chat!')
        ann.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(10000))
        pump([ann], lambda client: client.buffer.count(b"\n") == 10000)
        ann.buffer.clear()
        started = time.monotonic()
        bob = come_back(server, "bob", ONE)
        assert bob.welcome["participant"] == "bob" and time.monotonic() - started < 2, bob.welcome


def test_a_ghost_that_has_closed_its_side_and_does_not_read_is_replaced():
    with Server("--lag-memory", "64K") as server:
        ann = server.join("ann")
        ghost = server.connect(receive_buffer=4096)
        ghost.say('{"op":"session","session":"%s","name":"bob"}' % ONE)
        ann.expect('User "bob" just joined the chat!')
        ann.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 1000) for i in range(10000))
        pump([ann], lambda client: client.buffer.count(b"\n") == 10000)
        ann.buffer.clear()
        ghost.say("/help")
        ghost.half_close()
        started = time.monotonic()
        bob = come_back(server, "bob", ONE)
        assert bob.welcome["participant"] == "bob" and time.monotonic() - started < 2, bob.welcome


def test_many_who_come_back_at_once_with_one_id_leave_one():
    with Server() as server:
        clients = [server.connect() for _ in range(20)]
        threads = [threading.Thread(target=client.say, args=('{"op":"session","session":"%s","name":"bob"}' % ONE,))
                   for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        watcher = server.join("watcher")

        def people():
            watcher.say("/who")
            line = watcher.line()
            while not re.search(" here: ", line):
                line = watcher.line()
            return line if line.startswith("* 2 here: ") else None
        wait_for(people, "one bob is left")


def test_a_client_may_tell_its_id_later_and_another_one():
    with Server() as server:
        bob = join_events(server, "bob")
        bob.ask("session", session=ONE, id="a")
        bob.expect(kind="notice", code="done", id="a")
        first = send(bob, "one", 1)
        for i in range(40):
            bob.ask("session", session=(OTHER if i % 2 else f"{i:032x}"), id="b")
            bob.until(kind="notice", code="done", id="b")
        assert send(bob, "one", 1) != first
        bob.say(f"/session {ONE}")
        assert send(bob, "one", 1) == first
        bob.ask("session", session="0123456789ABCDEFabcdef0123456789", id="d")
        bob.until(kind="notice", code="done", id="d")
        upper = send(bob, "upper", 1)
        bob.say("/session 0123456789abcdefABCDEF0123456789")
        assert send(bob, "upper", 1) == upper != first
        bob.say(f"/session {ONE}")
        bob.ask("session", session=ONE, name="ann", id="c")
        bob.until(kind="error", code="usage", id="c")
        ann = come_back(server, "ann", OTHER)
        assert ann.welcome["participant"] == "ann"
        bob.say("still here")
        ann.until(kind="message", text="still here")
        plain = server.join("plain")
        plain.say(f"/session {ONE}")
        bob.client.rest(reset_allowed=True)  # it was replaced
        plain.expect('User "bob" just left the chat (connection lost)')
        plain.say("/session x")
        plain.expect(re.compile("! usage: /session takes .+"))


if __name__ == "__main__":
    main()
