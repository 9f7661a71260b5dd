"""Up to where somebody has read a room is kept by name, and told to whoever comes with that name."""

import tempfile

from events import come_back, join_events
from talk import Server, main

ONE = "00112233445566778899aabbccddeeff"


def mark_of(client, room="lobby"):
    client.ask("latest", room=room, id="mark")
    return client.until(kind="notice", code="room", id="mark")[-1]["mark"]


def say(client, count, room="lobby"):
    for i in range(count):
        client.ask("send", room=room, text=str(i), id=f"{room} {i}")
        client.until(kind="notice", code="said", id=f"{room} {i}")


def set_mark(client, seq, **fields):
    client.ask("mark", seq=seq, id="set", **fields)
    client.until(kind="notice", code="done", id="set")


def test_a_mark_is_kept_over_connections_and_restarts():
    with tempfile.TemporaryDirectory() as folder:
        with Server(journal=f"sqlite:{folder}/talk.db") as server:
            bob = join_events(server, "Bob")
            assert bob.welcome["mark"] == 0
            say(bob, 10)
            set_mark(bob, 7)
            assert mark_of(bob) == 7
            bob.client.half_close()
            bob.client.rest()
            assert come_back(server, "bob", ONE).welcome["mark"] == 7
            assert join_events(server, "ann").welcome["mark"] == 0, "it is bob's alone"
            server.stop()
        with Server(journal=f"sqlite:{folder}/talk.db") as server:
            bob = come_back(server, "BOB", ONE)
            assert bob.welcome["mark"] == 7 and bob.welcome["last"] >= 10, bob.welcome


def test_a_mark_never_goes_back_nor_beyond_the_last_message():
    with Server(journal="sqlite:chat.db") as server:
        bob = join_events(server, "bob")
        say(bob, 5)
        for seq, kept in ((3, 3), (2, 3), (0, 3), (4, 4), (10 ** 9, 6), (5, 6)):
            set_mark(bob, seq)
            assert mark_of(bob) == kept, (seq, mark_of(bob))


def test_each_room_has_a_mark_of_its_own():
    with Server(journal="sqlite:chat.db") as server:
        bob = join_events(server, "bob")
        bob.ask("join", room="Johnny Tea", id=1)
        assert bob.until(kind="notice", code="room", id=1)[-1]["mark"] == 0
        say(bob, 5)
        say(bob, 5, "Johnny Tea")
        set_mark(bob, 3, room="lobby")
        set_mark(bob, 4)
        bob.say('/mark 5 "johnny tea"')
        assert mark_of(bob) == 3 and mark_of(bob, "johnny tea") == 5


def test_the_memory_journal_keeps_no_marks():
    with Server(journal="memory") as server:
        bob = join_events(server, "bob")
        set_mark(bob, 1)
        assert mark_of(bob) == 0


def test_wrong_marks_are_explained():
    with Server(journal="sqlite:chat.db") as server:
        bob = join_events(server, "bob")
        for line in ("/mark", "/mark x", "/mark -1", "/mark 1 lobby now", "/mark 99999999999999999999"):
            bob.say(line)
            bob.expect(kind="error", code="usage")
        bob.say("/mark 1 tea")
        bob.expect(kind="error", code="not-in-room")


if __name__ == "__main__":
    main()
