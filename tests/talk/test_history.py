"""What was said before: who comes is shown it, /history pages through it."""

import datetime
import re
import tempfile

from events import Events, join_events
from talk import Server, main, on_each_journal, pump

DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"


def past(line):
    """A line of history."""
    return re.compile(rf"\[{DATE}\] {re.escape(line)}")


def here(room, people):
    return f"* You are in {room}, {people} here."


def say_numbers(client, name, count):
    client.outgoing = b"".join(b"%d\n" % i for i in range(1, count + 1))
    last = f"{name}: {count}\n".encode()
    pump([client], lambda it: it.buffer.endswith(last))
    client.buffer.clear()


@on_each_journal
def test_who_comes_is_shown_the_last_twenty(journal):
    with Server(history=None, journal=journal) as server:
        ann = server.join("ann")
        say_numbers(ann, "ann", 30)
        bob = server.join("bob")
        bob.expect(*[past(f"ann: {i}") for i in range(11, 31)])
        ann.expect('User "bob" just joined the chat!')
        ann.say("now")
        bob.expect("ann: now")


@on_each_journal
def test_what_was_said_done_and_set_as_topic_is_history_and_who_came_and_went_is_not(journal):
    with Server(history="all", journal=journal) as server:
        ann = server.join("ann")
        server.join("visitor").say("/quit")
        ann.expect('User "visitor" just joined the chat!', 'User "visitor" just left the chat (normally)')
        for line in ("hello", "/me waves", "/topic tea", "/nick anna", ""):
            ann.say(line)
        ann.say("the end")
        ann.expect("ann: hello", "~ ann waves", 'User "ann" set the topic: tea', 'User "ann" is now "anna"', "anna: ",
                   "anna: the end")
        server.join("bob").expect(past("ann: hello"), past("~ ann waves"), past('User "ann" set the topic: tea'),
                                  past("anna: "), past("anna: the end"))


def test_the_date_is_that_of_the_message_in_utc():
    with Server(history="all") as server:
        ann = server.join("ann")
        before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        ann.say("hello")
        ann.expect("ann: hello")
        after = datetime.datetime.now(datetime.timezone.utc)
        line = server.join("bob").line()
        said = datetime.datetime.strptime(line[1:21], "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        assert before <= said <= after, (before, line, after)


def test_the_server_may_show_another_number_of_messages():
    for option, shown in (("none", 0), ("0", 0), ("1", 1), ("7", 7), ("1000", 30), ("all", 30)):
        with Server(history=option) as server:
            ann = server.join("ann")
            say_numbers(ann, "ann", 30)
            bob = server.join("bob")
            bob.say("hi")
            bob.expect(*[past(f"ann: {i}") for i in range(31 - shown, 31)], "bob: hi")


def test_who_joins_a_room_may_ask_for_another_number_of_messages():
    with Server(history="2") as server:
        ann = server.join("ann")
        ann.say('/join "my tea"')
        ann.expect(here("my tea", 1))
        say_numbers(ann, "ann", 30)
        for asked, shown in (("", 2), (" --history 5", 5), (" --history all", 30), (" --history none", 0),
                             (" --history 0", 0), (" --history 1000000", 30)):
            bob = server.connect()
            bob.raw(b"bob\n/join lobby --history none\n")
            bob.expect_welcome("bob")
            bob.expect(here("lobby", 1))
            bob.say(f'/join "my tea"{asked}')
            bob.expect(here("my tea", 2), *[past(f"ann: {i}") for i in range(31 - shown, 31)])
            bob.say("/ping x")
            bob.expect("* pong x")
            bob.say("/quit")
            bob.rest()
            ann.expect('User "bob" just joined the chat!', 'User "bob" just left the chat (normally)')


def test_a_room_that_one_is_in_is_read_anew_only_when_that_is_asked():
    with Server(history="all") as server:
        ann = server.join("ann")
        say_numbers(ann, "ann", 3)
        ann.say("/join lobby")
        ann.expect(here("lobby", 1))
        ann.say("/join lobby --history 2")
        ann.say("now")
        ann.expect(here("lobby", 1), past("ann: 2"), past("ann: 3"), "ann: now")


def test_a_crowd_that_comes_and_goes_does_not_hide_what_was_said():
    """Story: only the last 4,096 messages were looked at for what somebody said, and joins are messages, too."""
    with Server("--journal", "memory:100000", history=None, journal=None) as server:
        ann = join_events(server, "ann")
        ann.ask("send", text="remember", id=1)
        ann.until(code="said")
        room = b"".join(b"/join tea\n/join lobby\n" for _ in range(1500))
        for name in ("bob", "carol"):
            visitor = server.join(name)
            visitor.outgoing = room + b"/ping over\n"
            pump([visitor], lambda it: b"* pong over\n" in it.buffer[-500:])
        dan = server.connect()
        dan.say("dan")
        dan.expect_welcome("dan")
        dan.expect(past("ann: remember"))


@on_each_journal
def test_history_is_marked_in_event_mode(journal):
    with Server(history="all", journal=journal) as server:
        ann = server.join("ann")
        ann.say("/join tea")
        ann.expect(here("tea", 1))
        for line in ("hello", "/me waves", "/topic green"):
            ann.say(line)
        ann.expect("ann: hello", "~ ann waves", 'User "ann" set the topic: green')
        bob = join_events(server, "bob")
        bob.ask("join", room="tea")
        bob.expect(kind="notice", code="room", room="tea", last=5, text="You are in tea, 2 here. The topic is: green")
        for seq, kind, text in ((2, "message", "hello"), (3, "action", "waves"), (4, "topic", "green")):
            bob.expect(kind=kind, seq=seq, room="tea", participant="ann", text=text, history=True)
        ann.expect('User "bob" just joined the chat!')
        ann.say("now")
        bob.expect(kind="message", seq=6, text="now", history=None)
        bob.ask("send", room="tea", text="me, too")
        bob.expect(kind="message", seq=7, text="me, too", history=None)
        bob.ask("history", room="tea", count=1, id=4)
        bob.expect(kind="message", seq=7, text="me, too", history=True)
        bob.expect(kind="notice", id=4, room="tea", text=re.compile("1 message; /history 1 before 7 .+"))


@on_each_journal
def test_history_pages_back_to_the_first_message(journal):
    with Server(journal=journal) as server:
        ann = server.join("ann")
        say_numbers(ann, "ann", 50)
        bob = server.join("bob")
        found = []
        command = "/history 7"
        while command:
            bob.say(command)
            page = []
            line = bob.line()
            while not line.startswith("* "):
                assert re.match(rf"\[{DATE}\] ann: ", line), line
                page.append(int(line.rpartition(" ")[2]))
                line = bob.line()
            match = re.fullmatch(r"\* (\d+) messages?(?:; (/history 7 before \d+) shows what was said before|, from the first one on)",
                                 line)
            assert match and int(match.group(1)) == len(page), line
            command = match.group(2)
            assert not command or len(page) == 7
            found = page + found
        assert found == list(range(1, 51)), found


@on_each_journal
def test_history_before_a_date(journal):
    with Server(journal=journal) as server:
        ann = join_events(server, "ann")
        for i in range(5):
            ann.ask("send", text=str(i), id=i + 1)
            ann.expect(kind="notice", code="said", id=i + 1)
            at = ann.expect(kind="message", text=str(i))["at"]
        ann.ask("history", before=at, id=9)
        events = ann.until(kind="notice", id=9)
        texts = [event["text"] for event in events[:-1]]
        # The date has milliseconds only, in which more may have been said.
        assert texts == [str(i) for i in range(len(texts))] and len(texts) <= 4, events
        for before, count in (("2026-01-01", 0), ("2100-01-01", 5), ("2100-01-01T08:00", 5), ("2100-01-01T08:00:05.123Z", 5),
                              (1, 0), (10 ** 12, 5)):
            ann.ask("history", before=before, id=10)
            events = ann.until(kind="notice", id=10)
            assert len(events) == 1 + count, (before, events)


def test_history_of_another_room_where_one_is():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.say("in the lobby")
        ann.expect(kind="message")
        ann.ask("join", room="Johnny Tea")
        ann.expect(kind="notice", code="room")
        ann.say("in the tea")
        ann.expect(kind="message", room="Johnny Tea")
        ann.ask("history", room="lobby", id=1)
        ann.expect(kind="message", text="in the lobby", room="lobby", history=True)
        ann.expect(kind="notice", id=1, room="lobby", text="1 message, from the first one on")
        ann.say('/history 5 before 3 in "johnny tea"')
        ann.expect(kind="message", text="in the tea", room="Johnny Tea", history=True)
        ann.expect(kind="notice", room="Johnny Tea")
        ann.say("/history in nowhere")
        ann.expect(kind="error", code="not-in-room")


def test_wrong_words_to_history_are_explained():
    with Server() as server:
        ann = server.join("ann")
        for words in ("0", "501", "-1", "x", "1 2", "before", "before x", "before 2026-13-01", "before 1 2", "5 before 3 x",
                      "before 99999999999999999999", "in", "5 in", '5 in "', "before 2026-11-21 08:00"):
            ann.say(f"/history {words}")
            ann.expect(re.compile(r"! usage: .+"))
        for words in ("lobby --history", "lobby --history x", "lobby --history -1", "lobby after", "lobby after x",
                      "lobby after 1 of", "lobby after 1 of x", "lobby of x", "lobby before 1", "lobby --history 1 2"):
            ann.say(f"/join {words}")
            ann.expect(re.compile(r"! usage: /join takes .+"))
        ann.say("still here")
        ann.expect("ann: still here")


def test_much_history_does_not_hold_up_what_is_said_now():
    with Server(history="all", journal="memory:100000") as server:
        ann = server.join("ann")
        ann.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 500) for i in range(10000))
        pump([ann], lambda client: client.buffer.count(b"\n") == 10000)
        ann.buffer.clear()
        bob = server.join("bob", receive_buffer=4096)
        ann.expect('User "bob" just joined the chat!')
        for i in range(100):
            ann.say(f"now {i}")
            ann.expect(f"ann: now {i}")
        numbers = [int(re.fullmatch(rf"\[{DATE}\] ann: (\d+) x+", bob.line()).group(1)) for _ in range(10000)]
        assert numbers == list(range(10000))
        bob.expect(*[f"ann: now {i}" for i in range(100)])


def test_what_was_said_is_there_after_everybody_left_and_after_a_restart():
    with tempfile.TemporaryDirectory() as folder:
        journal = f"sqlite:{folder}/talk.db"
        for stay in range(3):
            with Server(journal=journal, history="all") as server:
                ann = server.join("ann")
                if stay > 0:
                    ann.expect(*[past(f"ann: lobby {i}") for i in range(stay)])
                ann.say("/join Tea")
                ann.expect(here("Tea", 1), *[past(f"ann: tea {i}") for i in range(2 * stay)])
                ann.say(f"tea {2 * stay}")
                ann.expect(f"ann: tea {2 * stay}")
                ann.say("/leave")
                ann.expect(re.compile(r"\* You are in lobby\. .+"))
                ann.say("/rooms")
                ann.expect("* 2 rooms:")
                assert sorted((ann.line(), ann.line())) == ["* Tea (0)", "* lobby (1)"]
                ann.say("/join tea --history 1")
                ann.expect(here("Tea", 1), past(f"ann: tea {2 * stay}"))
                ann.say(f"tea {2 * stay + 1}")
                ann.expect(f"ann: tea {2 * stay + 1}")
                ann.say("/join lobby --history none")
                ann.expect(here("lobby", 1))
                ann.say(f"lobby {stay}")
                ann.expect(f"ann: lobby {stay}")
                server.stop()
                ann.expect(re.compile(r"== .+ =="))
                ann.expect_end()


def test_events_may_begin_in_the_middle_of_history():
    with Server(history="all", journal="memory:100000") as server:
        ann = server.join("ann")
        ann.outgoing = b"".join(b"%d %s\n" % (i, b"x" * 200) for i in range(3000))
        pump([ann], lambda client: client.buffer.count(b"\n") == 3000)
        for size in (0, 1000, 100000, 300000):
            bob = server.connect(receive_buffer=4096)
            bob.say("bob")
            begun = bob.bytes(size)
            bob.buffer[:0] = begun
            bob.say("/events")
            bob.say("/quit")
            numbers = []
            kinds = set()
            for line in bob.rest():
                match = re.search(r"ann(?:: |\",\"text\":\")(\d+) x", line)
                if match:
                    numbers.append(int(match.group(1)))
                    kinds.add(line[0])
                    assert line[0] == "[" or '"history":true' in line, line
            assert numbers == list(range(len(numbers))), (size, numbers[:3], numbers[-3:])


if __name__ == "__main__":
    main()
