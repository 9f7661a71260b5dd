"""WebSocket, /chat/join: Chatty's wire, with event mode's requests, history, coming back, and what keeps a connection alive."""

import contextlib
import json
import re
import threading
import time
from pathlib import Path

from talk import TAG, Server, main, on_each_journal
from websocket import BINARY, CLOSE, PING, PONG, WebSocket, chatty, close_payload, converse, examples, join, say_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"
ONE = "00112233445566778899aabbccddeeff"
OTHER = "ffeeddccbbaa99887766554433221100"


def said(events):
    return [(event["participant"], event["text"]) for event in events if event["kind"] == "message"]


# ---- Chatty's wire. ----

def test_who_joins_leaves_and_speaks_is_told_in_the_words_of_chatty():
    with Server() as server:
        ann = join(server, "ann")
        bob = join(server, "bob")
        ann.expect(event_type="participant_joined", participant="bob")
        bob.say("hello")
        for member in (ann, bob):
            member.expect(event_type=None, participant="bob", text="hello")
        bob.leave()
        ann.expect(event_type="participant_left", participant="bob", text="normally")
        carl = join(server, "carl")
        ann.expect(event_type="participant_joined", participant="carl")
        carl.client.reset()
        ann.expect(event_type="participant_left", participant="carl", text="connection lost")


def test_who_comes_sees_itself_come_and_nothing_twice():
    with Server(history="5") as server:
        line = server.join("line")
        line.say("before")
        line.expect("line: before")
        bob = chatty(server, name="bob")
        bob.expect(kind="welcome", last=2)
        bob.expect(kind="message", text="before", history=True, seq=2)
        bob.expect(kind="joined", participant="bob", history=None, seq=3)
        line.say("after")
        bob.expect(kind="message", text="after", history=None, seq=4)


def test_lines_and_websockets_are_in_one_room():
    with Server() as server:
        ann = server.join("ann")
        bob = join(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        ann.say('to "you"')
        bob.expect(kind="message", participant="ann", text='to "you"')
        bob.say("to you")
        ann.expect('ann: to "you"', "bob: to you")


def test_format_short_leaves_out_of_what_people_say_all_but_the_number_who_and_what():
    with Server(history="5") as server:
        ann = server.join("ann")
        ann.say("before")
        ann.expect("ann: before")
        bob = WebSocket(server, "/chat/join?name=bob&format=short&after=1")
        assert bob.event()["kind"] == "welcome"
        assert json.loads(bob.text()) == {"seq": 2, "participant": "ann", "text": "before"}
        joined = bob.event()
        assert (joined["kind"], joined["event_type"], joined["room"]) == ("joined", "participant_joined", "lobby")
        ann.expect('User "bob" just joined the chat!')
        bob.say("hi")
        ann.expect("bob: hi")
        assert bob.text() == '{"seq":4,"participant":"bob","text":"hi"}'
        ann.say("/me waves")
        assert bob.event()["kind"] == "action"
        carl = WebSocket(server, "/chat/join?name=carl&format=short")
        assert carl.event()["kind"] == "welcome"
        assert json.loads(carl.text()) == {"seq": 2, "participant": "ann", "text": "before", "history": True}


def test_format_short_is_in_one_room_at_a_time():
    with Server() as server:
        bob = WebSocket(server, "/chat/join?name=bob&format=short")
        assert [bob.event()["kind"] for _ in range(2)] == ["welcome", "joined"]
        bob.say('{"op":"join","room":"tea"}')
        event = bob.event()
        while event.get("kind") != "joined":
            event = bob.event()
        assert event["room"] == "tea"
        ann = server.join("ann")
        ann.say("nobody of tea hears this")
        ann.expect("ann: nobody of tea hears this")
        bob.say("tea")
        assert json.loads(bob.text())["text"] == "tea"


def test_format_text_speaks_in_lines_as_telnet_does():
    with Server(history="5") as server:
        ann = server.join("ann")
        ann.say("before")
        ann.expect("ann: before")
        bob = WebSocket(server, "/chat/join?name=bob&format=text")
        assert bob.text() == "* Welcome bob - tcpchat/1. You are in lobby. /help lists the commands, /quit leaves."
        assert re.fullmatch(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\] ann: before", bob.text())
        ann.expect('User "bob" just joined the chat!')
        ann.say('to "you"')
        assert bob.text() == 'ann: to "you"'
        bob.say('{"op":"send","text":"no request"}')
        bob.say("/me waves\n")
        bob.say("/nonsense")
        assert bob.text() == 'bob: {"op":"send","text":"no request"}'
        assert bob.text() == "~ bob waves"
        assert bob.text().startswith("! unknown-command: ")
        bob.say("/quit")
        assert bob.text() == "* Goodbye bob."
        bob.expect_close(1000)


def test_format_text_needs_a_name_and_no_other_format_is_known():
    with Server() as server:
        for query, words in (("format=text", "needs a name"), ("name=ann&format=xml", "json, short or text")):
            client = server.connect()
            client.raw(f"GET /chat/join?{query} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
            assert client.line().startswith("HTTP/1.1 400")
            while client.line() not in ("", "\r"):
                pass
            assert words in client.line()


def test_format_text_resumes_without_hole_and_without_double():
    with Server() as server:
        ann = server.join("ann")
        for i in range(300):
            ann.say(f"text {i}")
            ann.expect(f"ann: text {i}")
        bob = WebSocket(server, "/chat/join?name=bob&format=text&after=101")
        assert bob.text().startswith("* Welcome bob ")
        assert [bob.text().partition(": ")[2] for _ in range(200)] == [f"text {i}" for i in range(100, 300)]


def test_a_server_that_stops_says_so_and_closes_with_1001():
    with Server() as server:
        members = [join(server, f"bob{i}") for i in range(3)]
        server.send_signal(15)
        for member in members:
            event = member.until(event_type="server_shutting_down")[-1]
            assert event["address"] == f"127.0.0.1:{server.port}"
            member.expect_close(1001)
        assert server.ended() == 0


def test_a_taken_name_gets_a_suffix():
    with Server() as server:
        join(server, "bob")
        other = chatty(server, name="bob")
        other.expect(kind="welcome", participant=re.compile(f"bob{TAG}"))


def test_a_name_of_two_words_and_one_of_another_script_are_names():
    with Server() as server:
        join(server, "Johnny Boi")
        join(server, "Ἀλέξανδρος")


# ---- Lines, commands, requests. ----

def test_a_text_is_a_line_a_command_or_a_request():
    with Server() as server:
        bob = join(server, "bob")
        bob.say("/who")
        bob.expect(kind="notice", text="1 here: bob")
        bob.say("//who")
        bob.expect(kind="message", text="/who")
        bob.say("/me waves")
        bob.expect(kind="action", text="waves")
        bob.ask("send", text="hi", id="a")
        bob.expect(kind="notice", code="said", id="a")
        bob.expect(kind="message", text="hi")
        bob.say("{nonsense")
        bob.expect(kind="error", code="bad-request")
        bob.say("/frobnicate")
        bob.expect(kind="error", code="unknown-command")
        bob.say("/events")
        bob.expect(kind="notice", text="you get events already")
        bob.say("")
        bob.expect(kind="message", text="")


def test_a_text_of_several_lines_is_one_message():
    with Server() as server:
        bob = join(server, "bob")
        for text, wanted in (("one\ntwo", "one␤two"), ("one\r\ntwo\r", "one␤two␤"), ("\n\n", "␤"), ("end\n", "end"),
                             ("end\r\n", "end"), ("\n", ""), ("a\u2028b\tc\x1b[31m\x07", "a\u2028b\tc[31m")):
            bob.say(text)
            assert bob.expect(kind="message")["text"] == wanted, (text, wanted)
        bob.say("/who\n")
        bob.expect(kind="notice", text="1 here: bob")


def test_a_text_that_grows_too_long_when_it_becomes_one_line_is_refused():
    with Server("--max-line", "1000") as server:
        bob = join(server, "bob")
        for text in ("x" + "\n" * 400 + "x", json.dumps({"op": "send", "text": "x" + "\n" * 400 + "x"}),
                     json.dumps({"op": "dm", "to": "bob", "text": "x" + "\n" * 400 + "x"})):
            bob.say(text)
            bob.expect(kind="error", code="line-too-long")
        bob.say("x" + "\n" * 300 + "x")
        assert len(bob.expect(kind="message")["text"].encode()) == 902


def test_quit_closes_with_1000_and_three_wrong_passwords_with_1008():
    with Server() as server:
        bob = join(server, "bob")
        bob.say("/quit")
        bob.expect(kind="notice", text="Goodbye bob.")
        bob.expect_close(1000)
        carl = join(server, "carl")
        carl.say("/admin x")
        error = carl.expect(kind="error")
        if error["code"] == "wrong-password":
            carl.say("/admin x")
            carl.say("/admin x")
            carl.expect_close_soon(1008)


def test_a_binary_message_closes_with_1003_and_the_others_see_who_left():
    with Server() as server:
        ann = join(server, "ann")
        bob = join(server, "bob")
        ann.expect(kind="joined")
        bob.frame(BINARY, b"\0")
        bob.expect_close(1003)
        ann.expect(kind="left", participant="bob", text="normally")


# ---- The room and the number in the address. ----

def test_the_address_names_a_room_by_its_name_or_its_id():
    with Server() as server:
        line = server.join("line")
        line.say('/join "tea time"')
        line.expect(re.compile(r"\* You are in tea time, 1 here\."))
        ann = join(server, "ann", room="tea time")
        line.expect('User "ann" just joined the chat!')
        bob = join(server, "bob", room=ann.welcome["room_id"])
        assert ann.welcome["room"] == bob.welcome["room"] == "tea time"
        bob.say("hello")
        ann.until(kind="message", participant="bob", text="hello", room="tea time")
        line.expect('User "bob" just joined the chat!', "bob: hello")


def test_one_may_be_in_many_rooms():
    with Server() as server:
        bob = join(server, "bob")
        bob.ask("join", room="tea", id=1)
        bob.expect(kind="notice", code="room", room="tea", id=1)
        bob.expect(kind="joined", room="tea", participant="bob")
        bob.ask("send", room="lobby", text="still here")
        bob.expect(kind="message", room="lobby", text="still here")


@on_each_journal
def test_after_resumes_without_hole_and_without_double(journal):
    with Server(journal=journal, history="3") as server:
        line = server.join("line")
        for i in range(50):
            line.say(f"line {i}")
        line.expect(*[f"line: line {i}" for i in range(50)])
        bob = chatty(server, name="bob", after=11)
        bob.expect(kind="welcome", last=51)
        events = bob.until(kind="joined", participant="bob")
        assert [event["seq"] for event in events] == list(range(12, 53))
        assert not any("history" in event for event in events)
        line.say("next")
        bob.expect(seq=53, text="next")
        far = chatty(server, name="far", after=1000)
        far.expect(kind="welcome")
        far.expect(kind="joined", participant="far", seq=54)
        line.expect('User "bob" just joined the chat!')


@on_each_journal
def test_nothing_is_lost_or_doubled_over_many_connections_while_others_speak(journal):
    """One who is cut off at any moment, and comes back with the last number that it has read, has read all once."""
    with Server(journal=journal) as server:
        writer = server.join("writer")
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                writer.say(f"{number}")
                writer.expect(f"writer: {number}")
                number += 1
                time.sleep(0.0005)

        writer_thread = threading.Thread(target=write)
        last = 1
        try:
            bob = chatty(server, name="bob", after=1)
            writer.line()
            writer_thread.start()
            writer.expect = lambda wanted, take=writer.line: [*iter(take, wanted)]
            for turn in range(30):
                seqs = []
                while len(seqs) < 20:
                    event = bob.event()
                    if "seq" in event:
                        seqs.append(event["seq"])
                assert seqs == list(range(last + 1, last + 1 + len(seqs))), f"turn {turn}: after {last} came {seqs}"
                last = seqs[-1]
                bob.client.reset()
                bob = chatty(server, name="bob", after=last)
        finally:
            stop.set()
            writer_thread.join()


# ---- A name that comes later. ----

def test_who_gives_no_name_in_the_address_gives_it_in_the_first_message():
    with Server() as server:
        bob = chatty(server)
        bob.ask("session", session=ONE, name="bob", history="none")
        bob.expect(kind="welcome", participant="bob", room="lobby")
        bob.expect(kind="joined", participant="bob")
        bob.say("hello")
        bob.expect(kind="message", text="hello")


def test_the_room_and_the_number_of_the_address_count_for_a_name_that_comes_later():
    with Server() as server:
        line = server.join("line")
        line.say("/join tea")
        line.expect("* You are in tea, 1 here.")
        for i in range(5):
            line.say(str(i))
        bob = chatty(server, room="tea", after=3)
        bob.ask("session", session=ONE, name="bob", id=1)
        bob.expect(kind="welcome", room="tea", id=1)
        events = bob.until(kind="joined", participant="bob")
        assert [event["seq"] for event in events] == [4, 5, 6, 7], events
        carl = chatty(server, room="tea", after=3)
        carl.ask("session", session=OTHER, name="carl", room="lobby", history="none")
        carl.expect(kind="welcome", room="lobby")


def test_a_first_message_that_is_no_session_ends_the_connection():
    with Server() as server:
        for first in ("hello", "/who", '{"op":"send","text":"hi"}', "{", '{"op":"session","session":"12","name":"bob"}',
                      json.dumps({"op": "session", "session": ONE, "name": "b*b"})):
            bob = chatty(server)
            bob.say(first)
            bob.expect(kind="error")
            bob.expect_close(1008)


def test_a_name_that_does_not_come_in_time_closes_with_4408():
    with Server("--name-timeout", "1") as server:
        bob = chatty(server)
        bob.expect(kind="error", code="name-timeout")
        bob.expect_close(4408)
        carl = chatty(server)  # what is no message is no name
        carl.frame(PING)
        carl.expect_pong()
        carl.expect(kind="error", code="name-timeout")
        carl.expect_close(4408)


# ---- Coming back. ----

@on_each_journal
def test_a_message_that_is_sent_again_over_another_connection_is_said_once(journal):
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        numbers = {}
        for turn in range(10):
            bob = chatty(server)
            bob.ask("session", session=ONE, name="bob", history="none")
            bob.until(kind="joined", participant="bob")
            for number in range(1, turn + 2):
                bob.ask("send", text=str(number), id=number)
            for number in range(1, turn + 2):
                seq = bob.until(kind="notice", code="said", id=number)[-1]["seq"]
                assert numbers.setdefault(number, seq) == seq
            bob.client.reset()
        watcher.say("the end")
        lines = []
        while not lines or lines[-1] != "watcher: the end":
            lines.append(watcher.line())
        assert [line for line in lines if line.startswith("bob: ")] == [f"bob: {number}" for number in range(1, 11)], lines


def test_a_connection_that_a_newer_one_replaces_is_closed_with_4000():
    with Server() as server:
        old = chatty(server)
        old.ask("session", session=ONE, name="bob")
        old.until(kind="joined", participant="bob")
        new = chatty(server)
        new.ask("session", session=ONE, name="bob")
        new.expect(kind="welcome", participant="bob")
        old.expect_close(4000)


# ---- Slow, silent, dead. ----

@on_each_journal
def test_a_slow_reader_gets_everything(journal):
    with Server("--lag-memory", "64K", journal=journal) as server:
        slow = chatty(server, name="slow", options={"receive_buffer": 65536})
        slow.until(kind="joined")
        lines = [f"{i} " + "x" * 1000 for i in range(5000)]
        say_all(server.join("writer"), lines)
        assert slow.texts_until(lines[-1]) == lines


def test_a_silent_client_is_pinged_and_one_that_answers_stays():
    with Server("--peer-timeout", "3") as server:
        bob = join(server, "bob")
        while bob.pings < 5:
            opcode, payload, _ = bob.next_frame()
            assert (opcode, payload) == (PING, b"")
            bob.pings += 1
            bob.frame(PONG)
        bob.is_alive()


def test_a_client_that_answers_no_ping_is_lost_and_the_others_are_told():
    with Server("--peer-timeout", "3") as server:
        ann = join(server, "ann")
        dead = join(server, "dead")
        ann.expect(kind="joined", participant="dead")
        begun = time.monotonic()
        ann.expect(kind="left", participant="dead", text="connection lost")
        assert 2 < time.monotonic() - begun < 20
        frames = []
        while not dead.client.ended:
            try:
                frames.append(dead.next_frame())
            except AssertionError:
                break
        assert frames == [(PING, b"", True)] * 2, frames


def test_who_speaks_is_not_pinged():
    with Server("--peer-timeout", "3") as server:
        clock = join(server, "clock")
        bob = join(server, "bob")
        clock.expect(kind="joined", participant="bob")
        clock.client.socket.settimeout(0.2)
        while clock.pings < 3:
            with contextlib.suppress(AssertionError):  # nothing came within that
                clock.next_message()
            bob.frame(PONG)
        bob.is_alive()
        assert bob.pings == 0


def test_a_slow_reader_is_no_dead_one():
    """One that reads nothing for longer than --peer-timeout, while there is much to read, does not see the pings; it stays."""
    with Server("--peer-timeout", "3", "--lag-memory", "64K") as server:
        clock = join(server, "clock")
        slow = chatty(server, name="slow", options={"receive_buffer": 65536})
        slow.until(kind="joined")
        clock.expect(kind="joined", participant="slow")
        writer = server.join("writer")
        lines = [f"{i} " + "x" * 1000 for i in range(8000)]
        say_all(writer, lines)
        clock.texts_until(lines[-1])
        while clock.pings < 5:
            assert clock.next_frame() == (PING, b"", True)
            clock.pings += 1
            clock.frame(PONG)
        assert slow.texts_until(lines[-1]) == lines
        slow.is_alive()


def test_a_close_is_answered_behind_what_was_said_before():
    with Server() as server:
        bob = join(server, "bob")
        for i in range(100):
            bob.say(str(i))
        bob.close(1000)
        for i in range(100):
            bob.expect(kind="message", text=str(i))
        bob.expect_close(1000)


def test_nobody_is_told_of_a_close_but_those_in_its_rooms():
    with Server() as server:
        ann = join(server, "ann")
        bob = join(server, "bob")
        ann.expect(kind="joined")
        bob.frame(CLOSE)
        bob.expect_close(None)
        ann.expect(kind="left", participant="bob", text="normally")


def test_the_example_of_the_page_is_true():
    with Server(history="20") as server:
        ann = server.join("ann")
        ann.say("/join tea")
        ann.expect("* You are in tea, 1 here.")
        ann.say("here")
        ann.expect("ann: here")
        events, _, _ = examples(PAGE)
        converse(chatty(server, name="bob", room="tea"), events)


main()
