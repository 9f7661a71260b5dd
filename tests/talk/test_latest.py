"""Those who are behind: they are told how far, once, and /latest takes them to what is said now."""

import re

from events import join_events
from talk import BUILD_KIND, Server, main, on_each_journal, pump

COUNT = {"plain": 20000}.get(BUILD_KIND, 6000)
SMALL = 4 * 1024


def shout(client, count, first=0):
    """Says numbered lines, many at a time, and reads them all."""
    client.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 500) for i in range(first, first + count))
    last = b" %d %s\n" % (first + count - 1, b"x" * 500)
    pump([client], lambda it: it.buffer.endswith(last))
    client.buffer.clear()


@on_each_journal
def test_one_who_is_far_behind_is_told_once_and_gets_everything(journal):
    with Server("--lag-memory", "64K", journal="memory:100000" if journal == "memory" else journal) as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=SMALL)
        for turn in range(2):  # and once more, when it has caught up and is behind again
            shout(ann, COUNT, turn * COUNT)
            ann.say("the end")
            lines = [bob.line()]
            while lines[-1] != "ann: the end":
                lines.append(bob.line())
            told = [line for line in lines if line.startswith("* ")]
            assert len(told) == 1, told
            behind = int(re.fullmatch(r"\* You are (\d+) messages behind; /latest goes to what is said now\.", told[0]).group(1))
            assert 1000 <= behind <= COUNT + 2, behind
            numbers = [int(line.split()[1]) for line in lines if line.startswith("ann: ") and line.endswith("x")]
            assert numbers == list(range(turn * COUNT, (turn + 1) * COUNT))
            ann.buffer.clear()
            bob.say("here")
            bob.expect("bob: here")
            while ann.line() != "bob: here":
                pass


def test_one_who_is_a_little_behind_is_not_told():
    with Server("--lag-memory", "64K") as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=SMALL)
        shout(ann, 900)
        ann.say("the end")
        lines = [bob.line()]
        while lines[-1] != "ann: the end":
            lines.append(bob.line())
        assert len(lines) == 901, len(lines)


@on_each_journal
def test_latest_goes_to_what_is_said_now(journal):
    with Server("--lag-memory", "64K", journal="memory:100000" if journal == "memory" else journal) as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=SMALL)
        shout(ann, COUNT)
        bob.say("/latest")
        lines = [bob.line()]
        while not lines[-1].endswith("; /history shows what was said"):
            lines.append(bob.line())
        skipped = int(re.fullmatch(r"\* (\d+) messages skipped; /history shows what was said", lines[-1]).group(1))
        numbers = [int(line.split()[1]) for line in lines if line.startswith("ann: ")]
        assert numbers == list(range(len(numbers))) and len(numbers) < COUNT, len(numbers)
        bob.say("here")
        rest = [bob.line()]
        while rest[-1] != "bob: here":
            rest.append(bob.line())
        # What was in its outbox already is still read; the rest is not.
        numbers += [int(line.split()[1]) for line in rest if line.startswith("ann: ")]
        assert numbers == list(range(len(numbers))), numbers[-3:]
        assert len(numbers) + skipped == COUNT, (len(numbers), skipped, COUNT)
        ann.say("to bob")
        bob.expect("ann: to bob")


def test_latest_without_anything_to_skip():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.ask("latest", id=1)
        ann.expect(kind="notice", code="room", id=1, room="lobby", last=1, text="you have been sent everything")
        ann.say("/latest lobby")
        ann.expect(kind="notice", code="room", room="lobby")
        ann.ask("latest", room="tea", id=2)
        ann.expect(kind="error", code="not-in-room", id=2)
        ann.say("/latest lobby now")
        ann.expect(kind="error", code="usage")
        ann.say("still here")
        ann.expect(kind="message", text="still here")


def test_latest_ends_history_too():
    with Server(history="all", journal="memory:100000") as server:
        ann = server.join("ann")
        shout(ann, COUNT)
        bob = server.connect(receive_buffer=SMALL)
        bob.raw(b"bob\n")
        bob.expect_welcome("bob")
        bob.line()
        bob.say("/latest")
        while not re.fullmatch(r"\* \d+ messages skipped; /history shows what was said", bob.line()):
            pass
        ann.say("now")
        count = 0
        while bob.line() != "ann: now":
            count += 1
        assert count < COUNT // 2, count


def test_lag_and_latest_in_events():
    with Server("--lag-memory", "64K", journal="memory:100000") as server:
        ann = server.join("ann")
        client = server.connect(receive_buffer=SMALL)
        client.say("bob")
        client.expect_welcome("bob")
        client.say("/events")
        ann.expect('User "bob" just joined the chat!')
        shout(ann, COUNT)
        client.say('{"op":"latest","id":7}')
        text = []
        while not text or '"id":7' not in text[-1]:
            text.append(client.line())
        assert '"code":"room"' in text[-1] and f'"last":{COUNT + 2}' in text[-1], text[-1]


if __name__ == "__main__":
    main()
