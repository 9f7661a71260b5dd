"""What is said is said once and what is heard is shown once, whatever breaks: the client, the server, or the line between."""

import json
import pathlib
import random
import re
import tempfile
import time

from kept import Cutter, Kept, Listener
from support import BUILD_KIND, DEADLINE, HOST, Filter, Terminal, main, skip, wait_for

ROUNDS = 100 if BUILD_KIND == "plain" else 15


def bob(address, *arguments, **options):
    return Terminal("-username", "bob", *arguments, address, **{"width": 100, **options})


def enter(terminal, text):
    terminal.type(text)
    terminal.keys("Enter")


def started(address, state):
    return Filter("-username", "bob", "--plain", "--continue", address, environment={"XDG_STATE_HOME": state})


def unsent_texts(state):
    """What is on disk and not acknowledged, as far as it was written."""
    texts = {}
    for path in pathlib.Path(state).glob("tcpclient/unsent-*"):
        for line in path.read_bytes().split(b"\n"):
            if match := re.match(rb"[0-9a-f]{16} add (\d+) [^\t]*\t(.*)", line):
                texts[match[1]] = match[2].decode()
            elif match := re.match(rb"[0-9a-f]{16} done (\d+)", line):
                texts.pop(match[1], None)
    return list(texts.values())


# The client is killed


def test_a_killed_client_says_everything_once():
    """What a client took before it was killed is a beginning of what it was given; the next one sends the rest of that."""
    chance = random.Random(4)
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        ear = Listener(kept.port)
        given = 0  # lines that a client has taken
        for _ in range(ROUNDS):
            with started(kept.address, state) as client:
                count = chance.randrange(1, 40)
                client.give("".join(f"line {given + i}\n" for i in range(count)).encode())
                wait = chance.random() * 0.06
                until = time.monotonic() + wait
                wait_for(lambda: time.monotonic() > until or client.process.poll() is not None, "the moment")
                client.process.kill()
                client.process.wait()
            waiting = unsent_texts(state)
            with started(kept.address, state) as client:  # sends what waits, and ends
                code, _, errors = client.end(b"/ping over\n")
                assert code == 0, (code, errors)
            assert unsent_texts(state) == [], unsent_texts(state)
            if waiting:
                wait_for(lambda: waiting[-1] in ear.said, "what was waiting")
            probe = f"probe {given}"
            with started(kept.address, state) as client:
                client.end(f"{probe}\n".encode())
            wait_for(lambda: probe in ear.said, "the end of the round")
            ear.said.remove(probe)
            given = len(ear.said)
            assert ear.said == [f"line {i}" for i in range(given)], ear.said[-60:]
        assert given > ROUNDS / 4, given
        ear.close()


def test_without_continue_one_is_told_what_waits():
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        environment = {"XDG_STATE_HOME": state}
        with bob(kept.address, environment=environment) as terminal:
            terminal.wait_prompt()
            kept.kill()
            terminal.wait("is gone")
            enter(terminal, "kept for later")
            terminal.wait(r"\(waits for the server\) kept for later")
            terminal.kill()
        kept.start()
        ear = Listener(kept.port)
        with bob(kept.address, environment=environment) as terminal:
            terminal.wait(r"lines of an earlier time that were not sent: 1; start with --continue")
            enter(terminal, "another")
            terminal.wait("bob: another")
            terminal.keys("C-d")
            assert terminal.ended() == 0
        with bob(kept.address, "--continue", environment=environment) as terminal:
            terminal.wait(r"lines of the last time that are sent now: 1")
            terminal.wait("bob: kept for later")
            terminal.keys("C-d")
            assert terminal.ended() == 0
        assert ear.said == ["another", "kept for later"], ear.said
        ear.close()


# The line, or the server


def test_what_is_said_over_a_line_that_breaks_is_said_once():
    count = 100 if BUILD_KIND == "plain" else 40
    with Kept() as kept:
        ear = Listener(kept.port)
        cutter = Cutter(kept.port, 7, 12000)
        with bob(f"{HOST}:{cutter.port}") as terminal:
            terminal.wait_prompt()
            for i in range(count):
                enter(terminal, f"line {i}")
            wait_for(lambda: f"line {count - 1}" in ear.said, "the last line", 2 * DEADLINE)
            cutter.cuts = False
            terminal.wait(rf"bob: line {count - 1}$")
            assert ear.said == [f"line {i}" for i in range(count)], ear.said
            shown = [row.split("bob: ")[1].rstrip() for row in terminal.history() if "bob: line" in row]
            assert shown == ear.said, shown
            assert cutter.count > 0
        cutter.close()
        ear.close()


def test_what_is_heard_over_a_line_that_breaks_is_shown_once():
    count = 3000 if BUILD_KIND == "plain" else 500
    with Kept() as kept:
        cutter = Cutter(kept.port, 8, 60000)
        with Filter("-username", "bob", "--json", f"{HOST}:{cutter.port}") as client, \
                Filter("-username", "ann", kept.address) as ann:
            client.give(b"/ping\n")

            def heard():
                return [json.loads(line) for line in pathlib.Path(f"/proc/self/fd/{client.output.fileno()}").read_bytes().split(b"\n")[:-1]]

            wait_for(lambda: any(event["kind"] == "pong" for event in heard()), "the pong")
            ann.end("".join(f"line {i}\n" for i in range(count)).encode())
            cutter.cuts = False
            wait_for(lambda: any(event.get("text") == f"line {count - 1}" for event in heard()), "the last line")
            client.no_more()
            _, lines, _ = client.end()
            events = [json.loads(line) for line in lines]
            said = [event["text"] for event in events if event["kind"] == "message"]
            assert said == [f"line {i}" for i in range(count)], (len(said), said[:5])
            seqs = [event["seq"] for event in events if event["kind"] in ("message", "joined", "left")]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), seqs
        cutter.close()


def test_a_server_that_is_killed_in_mid_talk():
    with Kept() as kept:
        with bob(kept.address, "--room", "tea") as terminal:
            terminal.wait(r"\[tea\] You\(bob\)>")
            for i in range(6):
                enter(terminal, f"line {i}")
                if i % 2 == 0:
                    kept.kill()
                    kept.start()
            terminal.wait(r"bob: line 5\n(.*\n)*\[tea\] You\(bob\)>")
            shown = [row.split("bob: ")[1].rstrip() for row in terminal.history() if "bob: line" in row]
            assert shown == [f"line {i}" for i in range(6)], shown
            terminal.keys("C-d")
            assert terminal.ended() == 0


# Where one was


def test_one_goes_on_where_one_was():
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        environment = {"XDG_STATE_HOME": state}
        with Filter("-username", "ann", "--plain", "--room", "tea", kept.address) as ann:
            ann.give(b"before\n")
            with bob(kept.address, "--room", "tea", environment=environment) as terminal:
                terminal.wait("ann: before")
                enter(terminal, "here")
                terminal.wait("bob: here")
                terminal.keys("C-d")
                assert terminal.ended() == 0
            ann.give(b"missed 1\nmissed 2\n")
            ann.end()
        with bob(kept.address, "--continue", environment=environment) as terminal:
            rows = terminal.wait(r"--- 2 new since you were here ---\n(.*\n)*.*missed 2\n(.*\n)*\[tea\] You\(bob\)>")
            text = "\n".join(rows)
            assert "ann: before" not in text and "bob: here" not in text, text
            assert text.count("missed 1") == 1 and text.count("missed 2") == 1, text
            terminal.keys("C-d")
            assert terminal.ended() == 0


def test_what_was_said_before_is_shown_when_one_comes():
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        with Filter("-username", "ann", kept.address) as ann:
            ann.end("".join(f"line {i}\n" for i in range(30)).encode())
        for arguments, first in (((), 10), ((), 10), (("--history", "3"), 27), (("--history", "all"), 0),
                                 (("--history", "none"), None)):
            with bob(kept.address, *arguments, height=50, environment={"XDG_STATE_HOME": state}) as terminal:
                terminal.wait_prompt()
                enter(terminal, "/ping x")
                rows = terminal.wait(r"pong x\nYou" if first is None else r"ann: line 29\n(.*\n)*.*pong x\nYou")
                shown = [row.split(": ")[1].rstrip() for row in rows if "ann: " in row]
                wanted = [] if first is None else [f"line {i}" for i in range(first, 30)]
                assert shown == wanted, (arguments, shown)
                terminal.keys("C-d")
                assert terminal.ended() == 0


def test_what_was_said_is_shown_again():
    with Kept() as kept:
        with Filter("-username", "ann", kept.address) as ann:
            ann.end("".join(f"line {i}\n" for i in range(40)).encode())
        with bob(kept.address, "--history", "none", height=50) as terminal:
            terminal.wait_prompt()
            enter(terminal, "/history 2 before 12")
            terminal.wait(r"\d{4}-\d\d-\d\d \d\d:\d\d ann: line \d+\n\d{4}-\d\d-\d\d \d\d:\d\d ann: line \d+\n.*2 messages; /history")
            enter(terminal, "/find line 9")
            terminal.wait(r"\(found: 0\)")  # that is for what was received as it was said
            enter(terminal, "hello")
            terminal.wait("bob: hello")
            terminal.keys("C-d")
            assert terminal.ended() == 0


def test_what_was_said_is_found():
    with Kept() as kept:
        with Filter("-username", "ann", kept.address) as ann:
            ann.end("".join(f"line {i}{' zebra' if i == 7 else ''}\n" for i in range(40)).encode())
        with bob(kept.address, "--history", "none", height=50) as terminal:
            terminal.wait_prompt()
            found = r"\* lobby, message \d+:\n.*ann: line 6\n\d{4}-\d\d-\d\d \d\d:\d\d \[lobby\] ann: line 7 zebra\n.*line 8\n"

            def is_found():
                enter(terminal, "/search zebra")
                text = "\n".join(terminal.wait(r"(that is all|nothing was found|no-search)(.*\n)*You"))
                if "no-search" in text:
                    skip("this server cannot search")
                return re.search(found, text)

            wait_for(is_found, "the index")
            terminal.keys("C-d")
            assert terminal.ended() == 0


def test_two_clients_of_one_name():
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        environment = {"XDG_STATE_HOME": state}
        for _ in range(2):  # the second time the server is known
            with bob(kept.address, environment=environment) as one:
                one.wait_prompt()
                with bob(kept.address, environment=environment) as two:
                    two.wait(r"^You\(bob#[0-9a-f]{6}\)> ?\Z")
                    enter(two, "from two")
                    one.wait(r"bob#[0-9a-f]{6}: from two")
                    enter(one, "from one")
                    two.wait(r" bob: from one")
                    for terminal in (one, two):
                        terminal.keys("C-d")
                        assert terminal.ended() == 0


if __name__ == "__main__":
    main()
