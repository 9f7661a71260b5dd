"""After the server was killed and started again, everything is where it was: rooms, topics, pairs, and who waits for a stranger."""

import contextlib
import re
import signal
import tempfile

from events import come_back, join_events
from talk import Server, main

ANN, BOB, CAT, DAN, EVE = (f"{number:032x}" for number in range(5))


class Lives:
    """A journal, and the servers that use it one after the other."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    @contextlib.contextmanager
    def life(self, *arguments):
        """A server that is killed at the end."""
        with Server(*arguments, journal=f"sqlite:{self.folder.name}/chat.db") as server:
            yield server
            server.send_signal(signal.SIGKILL)
            server.ended()


def ask_room(client, text, **fields):
    """Asks for something that leads to a room; the notice about that one, whose text is like 'text'."""
    client.ask("join", id="room", **fields)
    notice = client.until(kind="notice", code="room", id="room")[-1]
    assert re.search(text, notice["text"]), notice
    return notice


def go_back(server, name, session, place):
    client = come_back(server, name, session)
    notice = ask_room(client, "", room=place["room_id"], room_id=place["room_id"], after=place["last"])
    return client, notice


def test_a_room_its_topic_and_what_was_said_are_there_again():
    with Lives() as lives:
        with lives.life() as server:
            ann = join_events(server, "ann")
            before = ask_room(ann, "1 here", room="tea")
            ann.ask("topic", room="tea", text="green, or black?")
            ann.ask("send", room="tea", text="black", id=1)
            ann.until(kind="notice", code="said", id=1)
        with lives.life() as server:
            bob = join_events(server, "bob")
            bob.ask("rooms", id=2)
            rooms = [event["text"] for event in bob.until(kind="notice", id=2, text="tea (0) - green, or black?")]
            assert rooms
            after = ask_room(bob, "1 here.*green, or black", room="tea", history=20)
            assert after["room_id"] == before["room_id"]
            assert bob.until(kind="message", text="black")[-1]["history"] is True


def test_a_pair_finds_its_room_again():
    with Lives() as lives:
        with lives.life() as server:
            ann = come_back(server, "ann", ANN)
            waits = ask_room(ann, "You wait")
            bob = come_back(server, "bob", BOB)
            met = ask_room(bob, "You met")
            assert waits["room_id"] == met["room_id"]
        with lives.life() as server:
            ann, _ = go_back(server, "ann", ANN, met)
            cat = come_back(server, "cat", CAT)
            ask_room(cat, "You wait")  # a pair that a restart has interrupted waits for nobody else
            bob, notice = go_back(server, "bob", BOB, met)
            assert "2 here" in notice["text"], notice
            bob.ask("send", room=met["room_id"], text="as I said", id=3)
            ann.until(kind="message", participant="bob", text="as I said")


def test_who_waits_for_a_stranger_waits_on_before_those_who_came_later():
    with Lives() as lives:
        with lives.life() as server:
            ann = come_back(server, "ann", ANN)
            waits = ask_room(ann, "You wait")
        with lives.life() as server:
            ann, _ = go_back(server, "ann", ANN, waits)
            eve = come_back(server, "eve", EVE)
            assert ask_room(eve, "You met")["room_id"] == waits["room_id"]
            ann.until(kind="joined", participant="eve")


def test_nobody_waits_while_one_who_comes_back_waits():
    with Lives() as lives:
        with lives.life() as server:
            ann = come_back(server, "ann", ANN)
            waits = ask_room(ann, "You wait")
        with lives.life() as server:
            dan = come_back(server, "dan", DAN)
            later = ask_room(dan, "You wait")
            _, notice = go_back(server, "ann", ANN, waits)
            assert notice["room_id"] == later["room_id"] and "You met" in notice["text"], notice
            dan.until(kind="joined", participant="ann")


if __name__ == "__main__":
    main()
