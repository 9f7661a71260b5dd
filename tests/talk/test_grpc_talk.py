"""tcpchat.v1.Chat, our own gRPC service: all that event mode can do, over Talk; Subscribe, and the unary calls."""

import json
import re
import signal
import threading
from pathlib import Path

from grpc_client import Channel, fails, message, protos
from grpc_talk import Events, Talk, kind_of, on_each_journal, request, service, talk
from http2 import Peer
from talk import BUILD_KIND, MAX_LINE, Server, main, pump, skip, temporary_file, wait_for

ONE = "00112233445566778899aabbccddeeff"
OTHER = "ffeeddccbbaa99887766554433221100"
HOME = "You are in lobby. /join finds a stranger, /rooms lists the rooms."
SECOND_NS = 10 ** 9


# ---- Being there. ----

def test_those_who_talk_and_those_who_speak_lines_are_in_one_room():
    with Server() as server:
        ann = server.join("ann")
        bob = talk(server, "bob")
        assert (bob.welcome.participant, bob.welcome.room, bob.welcome.last) == ("bob", "lobby", 1), bob.welcome
        assert re.fullmatch("[0-9a-f]{20}", bob.welcome.room_id)
        ann.expect('User "bob" just joined the chat!')
        ann.say("hello, bob")
        event = bob.expect("MESSAGE", room="lobby", participant="ann", text="hello, bob", seq=3, history=False, id=0)
        assert abs(event.at_ns - bob.welcome.at_ns) < 60 * SECOND_NS
        bob.ask("send", text="hello, ann")
        bob.expect("MESSAGE", participant="bob", text="hello, ann", seq=4)
        bob.ask("send", text="waves", action=True)
        bob.expect("ACTION", participant="bob", text="waves", seq=5)
        ann.expect("ann: hello, bob", "bob: hello, ann", "~ bob waves")
        bob.ask("quit")
        bob.expect("NOTICE", text="Goodbye bob.")
        bob.expect_end("OK")
        ann.expect('User "bob" just left the chat (normally)')


def test_every_kind_of_event_comes():
    with Server() as server:
        ann = talk(server, "ann")
        bob = server.join("bob")
        ann.expect("JOINED", room="lobby", participant="bob", seq=2)
        bob.say("hello \"\\\t李")
        ann.expect("MESSAGE", room="lobby", participant="bob", text="hello \"\\\t李", seq=3)
        bob.say("")
        ann.expect("MESSAGE", text="")
        bob.say("/me waves")
        ann.expect("ACTION", participant="bob", text="waves")
        bob.say("/dm ann psst")
        ann.expect("DIRECT", participant="bob", to="ann", text="psst")
        bob.say("/nick rob")
        ann.expect("NICK", participant="bob", text="rob")
        bob.say("/topic tea")
        ann.expect("TOPIC", participant="rob", text="tea")
        bob.say("/new-room milk")
        ann.expect("LEFT", participant="rob", text="for another room")
        bob.say("/invite ann")
        ann.expect("NOTICE", participant="rob", room="milk")
        ann.ask("join", room="milk")
        ann.expect("NOTICE", code="room", text="You are in milk, 2 here.")
        bob.say("/delete-room milk")
        ann.until("ROOM_CLOSED", room="milk", participant="rob")
        ann.until("JOINED", room="lobby", participant="rob")
        ann.ask("topic", room="nowhere", text="x")
        ann.until("ERROR", code="not-in-room")
        ann.ask("ping", text="7")
        ann.expect("PONG", text="7")
        server.send_signal(signal.SIGTERM)
        ann.until("FAREWELL", address=f"127.0.0.1:{server.port}", text="the server is stopping")
        ann.expect_end("UNAVAILABLE", "the server is stopping")
        kinds = {value.name.removeprefix("KIND_") for value in message("tcpchat.v1.Event").DESCRIPTOR.enum_types_by_name["Kind"].values}
        assert set(ann.seen) == kinds - {"UNSPECIFIED"}, kinds - set(ann.seen)
        assert server.ended() == 0


def refused(server, first, code, *, event=None, words=None):
    """A call with that first request ends so, after an error with the code 'event', if that is given."""
    call = Talk(service(server))
    call.stream.send_message(first)
    if event is not None:
        call.expect("ERROR", code=event, id=first.id)
    call.expect_end(code, words)


def test_a_first_request_that_is_refused_ends_the_call():
    with Server() as server:
        no_session = 'bad-request: the first request has to be "session", with a name'
        refused(server, request("send", 7, text="hi"), "INVALID_ARGUMENT", event="bad-request", words=no_session)
        refused(server, request("rooms"), "INVALID_ARGUMENT", event="bad-request", words=no_session)
        refused(server, message("tcpchat.v1.Request", id=3), "INVALID_ARGUMENT", event="bad-request", words=no_session)
        for name in ("", "b*b", "x" * 51, "b\u200bb", 'b"b'):
            for fields in ({}, {"session": ONE}):
                call = Talk(service(server))
                call.ask("session", 4, name=name, **fields)
                error = call.expect("ERROR", id=4)
                assert fields or error.code == "bad-name", error
                call.stream.expect_end("INVALID_ARGUMENT")
                assert call.stream.end[1].startswith("bad-name: "), call.stream.end
        words = "usage: session has 32 hex digits, and room_id 20; the event before says what is wrong"
        refused(server, request("session", 5, name="bob", session="0123"), "INVALID_ARGUMENT", event="usage", words=words)
        refused(server, request("session", 5, name="bob", room_id="0123"), "INVALID_ARGUMENT", event="usage")
        refused(server, request("session", 5, name="bob", session=ONE, room_id="0123"), "INVALID_ARGUMENT", event="usage")
        silent = Talk(service(server))
        silent.stream.half_close()
        silent.expect_end("INVALID_ARGUMENT", no_session)


def test_who_says_no_session_in_time_is_sent_away():
    with Server("--name-timeout", "1") as server:
        Talk(service(server)).expect_end("DEADLINE_EXCEEDED", "name-timeout: no session came within 1 s; call again and send it at once")


def test_a_message_that_is_none_ends_the_call():
    with Server() as server:
        for broken in (b"\xff", b"\x1a\xff\x01", b"\x1a\x04\x12\x02\xc3\x28"):
            bob = talk(server, "bob")
            bob.stream.send_message(broken)
            bob.expect_end("INVALID_ARGUMENT")


def test_a_taken_name_gets_a_suffix():
    with Server() as server:
        server.join("bob")
        assert re.fullmatch("bob#[0-9a-f]{6}", talk(server, "bob").welcome.participant)
        assert re.fullmatch("bob#[0-9a-f]{6}", talk(server, "BOB", session=ONE).welcome.participant, re.I)


def test_who_closes_its_side_reads_on_and_stays():
    with Server() as server:
        ann = server.join("ann")
        bob = talk(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        bob.ask("send", text="my last words")
        bob.stream.half_close()
        bob.expect("MESSAGE", text="my last words")
        for i in range(3):
            ann.say(str(i))
            bob.expect("MESSAGE", participant="ann", text=str(i))
        ann.say("/who")
        ann.expect("bob: my last words", "ann: 0", "ann: 1", "ann: 2", "* 2 here: ann, bob")
        bob.stream.cancel()
        assert ann.line().startswith('User "bob" just left the chat')


def test_a_text_of_several_lines_becomes_one_and_is_made_safe():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("send", text="one\ntwo\r\nthree\x1b[1m\tfour")
        bob.expect("MESSAGE", text="one␤two␤three[1m\tfour")
        bob.ask("send", text="/who")
        bob.expect("MESSAGE", text="/who")
        bob.ask("send", text='{"op":"quit"}')
        bob.expect("MESSAGE", text='{"op":"quit"}')


def test_a_text_may_be_as_long_as_a_line_and_no_longer():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("send", 1, text="x" * MAX_LINE)
        bob.expect("NOTICE", code="said", id=1)
        bob.expect("MESSAGE", text="x" * MAX_LINE)
        bob.ask("send", 2, text="x" * (MAX_LINE + 1))
        bob.expect("ERROR", code="line-too-long", id=2)
        bob.is_alive()


# ---- Answers. ----

def test_answers_and_errors_have_the_id_of_their_request():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("send", 7, text="hi")
        bob.expect("NOTICE", code="said", id=7, seq=2, room="lobby")
        bob.expect("MESSAGE", text="hi", seq=2, id=0)
        bob.ask("nick", 8, name="rob")
        bob.expect("NICK", text="rob")
        bob.expect("NOTICE", id=8)
        bob.ask("mark", 2 ** 63 - 1, seq=2)
        assert bob.event().id == 2 ** 63 - 1
        bob.ask("mark", 2 ** 64 - 1, seq=2)
        bob.expect("ERROR", code="bad-request", text=re.compile(".*too large.*"))
        for op, fields, code in (
                ("send", {"room": "tea", "text": "x"}, "not-in-room"),
                ("dm", {"to": "nobody", "text": "x"}, "no-such-user"),
                ("dm", {"to": "nobody"}, "bad-request"),
                ("dm", {"text": "x"}, "bad-request"),
                ("join", {"room": "b*b"}, "bad-room-name"),
                ("join", {"room": "0" * 20}, "no-such-room"),
                ("join", {"after": 3}, "bad-request"),
                ("join", {"room": "tea", "after": 2 ** 64 - 1}, "bad-request"),
                ("leave", {"room": "tea"}, "not-in-room"),
                ("switch", {"room": "tea"}, "not-in-room"),
                ("switch", {}, "bad-request"),
                ("delete_room", {"room": "lobby"}, "not-allowed"),
                ("invite", {"user": "nobody"}, "no-such-user"),
                ("topic", {"text": "x" * 400}, "topic-too-long"),
                ("who", {"room": "nowhere"}, "no-such-room"),
                ("history", {"count": 501}, "usage"),
                ("history", {"before_date": "yesterday"}, "usage"),
                ("search", {"words": "tea"}, "no-search"),
                ("nick", {"name": "b*b"}, "bad-name"),
                ("ignore", {"user": 'a"b'}, "bad-request"),
                ("admin", {"password": "x"}, "wrong-password"),
                ("help", {"command": "frobnicate"}, "unknown-command"),
                ("session", {}, "bad-request")):
            bob.ask(op, 9, **fields)
            event = bob.event()
            assert (kind_of(event), event.id, event.code) == ("ERROR", 9, code), (op, fields, event)
            assert event.text != "", event
        bob.stream.send_message(message("tcpchat.v1.Request", id=10))
        bob.expect("ERROR", id=10, code="bad-request")
        bob.is_alive()


def test_without_an_id_what_shows_elsewhere_is_not_answered():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("send", text="hi")
        bob.ask("ping", text="1")
        bob.expect("MESSAGE", text="hi")
        bob.expect("PONG", text="1", id=0)


# ---- What a client can do. ----

def test_topic_who_and_rooms():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("topic", 1)
        bob.expect("NOTICE", id=1, room="lobby", text=re.compile("lobby has no topic.*"))
        assert bob.expect("NOTICE", id=1, room="lobby").created_at_ns > 0
        bob.ask("topic", 2, text="green or black")
        bob.expect("TOPIC", text="green or black")
        bob.expect("NOTICE", id=2, code="done")
        bob.ask("topic", 3, room="lobby")
        bob.expect("NOTICE", id=3, text="the topic of lobby is: green or black")
        bob.expect("NOTICE", id=3)
        bob.ask("topic", 4, text="")
        bob.expect("TOPIC", text="")
        bob.expect("NOTICE", id=4, code="done")
        bob.ask("who", 5)
        bob.expect("NOTICE", id=5, room="lobby", text="1 here: bob")
        bob.ask("rooms", 6)
        bob.expect("NOTICE", id=6, text="1 room:")
        assert bob.expect("NOTICE", id=6, room="lobby", text="lobby (1)").created_at_ns > 0


def test_dm_invite_and_ignore():
    with Server() as server:
        ann = talk(server, "ann")
        bob = talk(server, "bob one")
        ann.expect("JOINED", participant="bob one")
        bob.ask("dm", 1, to="ann", text="psst")
        ann.expect("DIRECT", participant="bob one", to="ann", text="psst")
        bob.expect("DIRECT", id=1, participant="bob one", to="ann", text="psst")
        bob.ask("new_room", 2, room="tea")
        bob.expect("NOTICE", id=2, code="room", room="tea")
        bob.ask("invite", 3, user="ann")
        bob.expect("NOTICE", id=3, text="ann is invited to tea")
        invitation = ann.expect("NOTICE", room="tea", participant="bob one")
        room = re.search("[0-9a-f]{20}", invitation.text).group()
        ann.ask("join", 4, room=room)
        ann.expect("NOTICE", id=4, room="tea", room_id=room)
        bob.expect("JOINED", room="tea", participant="ann")
        ann.ask("ignore", 5, user="bob one")
        ann.expect("NOTICE", id=5, text=re.compile("you ignore bob one;.*"))
        bob.ask("dm", 6, to="ann", text="psst")
        bob.expect("ERROR", id=6, code="ignored")
        ann.ask("ignore", 7, user="bob one", on=False)
        ann.expect("NOTICE", id=7, text="you no longer ignore bob one")
        ann.ask("ignore", 8, user="bob one", on=False)
        ann.event()
        bob.ask("dm", 9, to="ann", text="again")
        ann.expect("DIRECT", text="again")


def test_several_rooms_at_once():
    with Server() as server:
        ann = talk(server, "ann")
        rooms = [f"room {i}" for i in range(31)]
        for room in rooms:
            ann.ask("join", 1, room=room)
            ann.expect("NOTICE", id=1, code="room", room=room)
        ann.ask("join", 1, room="one too many")
        ann.expect("ERROR", id=1, code="too-many-rooms")
        bob = talk(server, "bob")
        ann.expect("JOINED", participant="bob", room="lobby")
        for room in rooms[:5]:
            bob.ask("join", 1, room=room)
            bob.expect("NOTICE", id=1, code="room", room=room)
            ann.expect("JOINED", participant="bob", room=room)
            ann.ask("send", 2, room=room, text=f"in {room}")
            ann.expect("NOTICE", code="said", id=2, room=room)
            for member in (ann, bob):
                member.expect("MESSAGE", room=room, text=f"in {room}", participant="ann")
        ann.ask("send", text="where?")
        ann.expect("MESSAGE", room=rooms[-1], text="where?")
        ann.ask("switch", 3, room="lobby")
        ann.expect("NOTICE", id=3, room="lobby")
        ann.ask("send", text="here")
        ann.expect("MESSAGE", room="lobby", text="here")
        bob.expect("MESSAGE", room="lobby", text="here")
        bob.ask("leave", 4, room=rooms[0])
        bob.expect("NOTICE", id=4, room=rooms[0], code="done")
        ann.expect("LEFT", room=rooms[0], participant="bob")
        bob.ask("delete_room", 5, room=rooms[1])
        bob.expect("ERROR", id=5, code="not-allowed")
        ann.ask("delete_room", 6, room=rooms[1])
        bob.expect("ROOM_CLOSED", room=rooms[1], participant="ann")
        assert {kind_of(event) for event in ann.until("NOTICE", id=6)} >= {"ROOM_CLOSED"}


def test_strangers_meet():
    with Server() as server:
        ann = talk(server, "ann")
        bob = talk(server, "bob")
        ann.expect("JOINED", participant="bob")
        ann.ask("new_room", 1)
        room = ann.expect("NOTICE", id=1, code="room").room
        bob.ask("join", 2)
        bob.expect("NOTICE", id=2, room=room, text=re.compile("You met a stranger.*"))
        ann.expect("JOINED", room=room, participant="bob")
        bob.ask("send", text="hi")
        ann.expect("MESSAGE", room=room, text="hi")
        bob.ask("leave", 3)
        ann.expect("LEFT", room=room, participant="bob")
        ann.expect("ROOM_CLOSED", room=room, seq=0, participant="")
        fails("NOT_FOUND", service(server).GetRoom, room=room)


def test_an_administrator_may_close_any_room_and_a_guesser_is_sent_away():
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        ann = talk(server, "ann")
        ann.ask("join", room="tea")
        ann.until("NOTICE", code="room")
        bob = talk(server, "bob")
        bob.ask("admin", 1, password="secret")
        bob.expect("NOTICE", id=1, text="you are an administrator now")
        bob.ask("delete_room", 2, room="tea")
        ann.until("ROOM_CLOSED", room="tea", participant="bob")
        carl = talk(server, "carl")
        for i in range(3):
            carl.ask("admin", 3, password=f"guess {i}")
            carl.expect("ERROR", id=3, code="wrong-password")
        carl.expect_end("PERMISSION_DENIED")


@on_each_journal
def test_history_is_shown_in_order_and_marked(journal):
    with Server(journal=journal) as server:
        ann = talk(server, "ann")
        ann.say(*[f"text {i}" for i in range(10)])
        bob = talk(server, "bob", history=3)
        for i in range(7, 10):
            bob.expect("MESSAGE", text=f"text {i}", history=True, seq=2 + i)
        ann.expect("JOINED", participant="bob")
        bob.ask("history", 1, count=2)
        for i in (8, 9):
            bob.expect("MESSAGE", text=f"text {i}", history=True)
        bob.expect("NOTICE", id=1, room="lobby")
        bob.ask("history", 2, count=2, before=10)
        for i in (6, 7):
            bob.expect("MESSAGE", text=f"text {i}", history=True)
        bob.expect("NOTICE", id=2)
        bob.ask("history", 3, before_date="2020-01-01")
        bob.expect("NOTICE", id=3, text="nothing was said before")
        bob.ask("history", 4, before=0)
        bob.expect("NOTICE", id=4, text="nothing was said before")
        everything = talk(server, "carl", all_history=True)
        assert everything.texts_until("text 9") == [f"text {i}" for i in range(10)]
        nothing = talk(server, "dora", history=0)
        bob.ask("send", text="now")
        nothing.expect("MESSAGE", text="now", history=False)


def test_search_and_marks():
    with Server(journal="sqlite:chat.db") as server:
        ann = talk(server, "ann")
        ann.say("before", "green tea", "after")
        while True:  # what is so new that it was not looked at yet is told
            ann.ask("search", 1, words="TEA", **{"from": "ann"}, room="lobby", after="2020-01-01")
            found = ann.until("NOTICE", id=1)
            if found[-1].code == "found":
                break
            ann.is_alive()
        assert (found[-1].room, found[-1].seq) == ("lobby", 3), found
        for text in ("before", "green tea", "after"):
            ann.expect("MESSAGE", text=text, history=True)
        ann.is_alive()
        ann.ask("mark", 2, seq=3)
        ann.until("NOTICE", id=2)
        ann.ask("quit")
        ann.until("NOTICE", text="Goodbye ann.")
        ann.expect_end("OK")
        assert talk(server, "ann").welcome.mark == 3


def test_latest_leaves_out_what_was_not_sent_yet():
    with Server() as server:
        ann = server.join("ann")
        bob = talk(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        ann.say("before")
        ann.expect("ann: before")
        bob.expect("MESSAGE", text="before")
        bob.ask("latest", 1)
        bob.expect("NOTICE", id=1, room="lobby")
        ann.say("after")
        bob.expect("MESSAGE", text="after")


# ---- Nothing is lost, and nothing said twice. ----

@on_each_journal
def test_numbered_sends_are_kept_once_over_calls_and_connections(journal):
    with Server(journal=journal) as server:
        watcher = server.join("watcher")
        numbers = {}
        for turn in range(4):
            bob = talk(server, "bob", session=ONE.upper() if turn == 2 else ONE)
            assert bob.welcome.participant == "bob"
            watcher.expect('User "bob" just joined the chat!')
            for number in range(1, 4 + turn):
                seq = bob.keep(str(number), number)
                assert numbers.setdefault(number, seq) == seq
            fresh = [str(3 + turn)] if turn else ["1", "2", "3"]
            watcher.expect(*[f"bob: {text}" for text in fresh])
            bob.stream.cancel()
            assert watcher.line().startswith('User "bob" just left the chat')
        plain = talk(server, "plain")
        assert plain.keep("same", 1) != plain.keep("same", 1), "without a session nothing is sent again"


def test_a_session_goes_on_from_one_kind_of_door_to_another():
    """The same id, by gRPC and by lines: a number is said once over both."""
    with Server() as server:
        from events import come_back
        lines = come_back(server, "bob", ONE)
        lines.ask("send", text="hi", id=1)
        seq = lines.until(kind="notice", code="said", id=1)[-1]["seq"]
        bob = talk(server, "bob", session=ONE)
        assert bob.welcome.participant == "bob"
        lines.client.rest(reset_allowed=True)
        assert bob.keep("hi", 1) == seq
        assert service(server).Send(name="x", text="hi", session=ONE, number=1).seq == seq


def test_what_is_sent_again_into_another_room_is_acknowledged_with_the_room_where_it_is():
    with Server(journal="sqlite:chat.db") as server:
        bob = talk(server, "bob", session=ONE)
        bob.ask("join", room="Tea")
        bob.until("NOTICE", code="room")
        seq = bob.keep("kept there", 1, room="Tea")
        for room in ("lobby", "Tea"):
            bob.ask("send", 1, room=room, text="kept there")
            bob.until("NOTICE", code="said", id=1, room="Tea", seq=seq)
            answer = service(server).Send(room=room, text="kept there", session=ONE, number=1)
            assert (answer.room, answer.seq, answer.repeated) == ("Tea", seq, True), answer
            assert (answer.room_id == "") == (room == "lobby"), answer


def test_a_newer_call_of_the_session_ends_the_older_one():
    with Server() as server:
        methods = service(server)
        old = Talk(methods).come("bob", session=ONE)
        new = Talk(methods).come("bob", session=ONE)
        assert new.welcome.participant == "bob"
        assert not any(kind_of(event) == "FAREWELL" for event in old.stream.rest())
        old.stream.expect_end("ABORTED")
        new.is_alive()


def test_session_may_be_said_later():
    with Server() as server:
        bob = talk(server, "bob")
        bob.ask("session", 1, session=ONE)
        bob.expect("NOTICE", id=1, code="done")
        assert bob.keep("hi", 5) == bob.keep("hi", 5)


class Talkers:
    """Speak lines without end, each as fast as it reads its echo, until the end of the block."""

    def __init__(self, server, count=3):
        self.clients = [server.join(f"talker{i}") for i in range(count)]
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        turn = 0
        while not self.ends.is_set():
            last = f": {turn} of the last\n".encode()
            for client in self.clients:
                client.outgoing = f"{turn}\n".encode() * 4
            self.clients[-1].outgoing += f"{turn} of the last\n".encode()
            pump(self.clients, lambda client: last in client.buffer)
            for client in self.clients:
                client.buffer.clear()
            turn += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ends.set()
        self.thread.join()


@on_each_journal
def test_who_comes_back_gets_all_the_rest_once_while_others_speak(journal):
    journal = "memory:1000000" if journal == "memory" else journal  # they may be far ahead
    with Server(journal=journal) as server, Talkers(server):
        methods = service(server)
        last = 0
        room_id = ""
        for visit in range(10 if BUILD_KIND == "plain" else 4):
            session = {"session": ONE} if visit % 2 else {}
            bob = Talk(methods).come("bob", after=last, room_id=room_id, **session)
            room_id = bob.welcome.room_id
            for _ in range(200):
                event = bob.event()
                if event.seq == 0:
                    assert event.code == "behind", event
                    continue
                assert event.seq == last + 1 and event.room == "lobby" and not event.history, (last, event)
                last = event.seq
            bob.stream.cancel()


def test_with_the_id_of_another_room_after_counts_for_nothing():
    with Server() as server:
        ann = talk(server, "ann")
        ann.say("one", "two")
        for fields in ({"session": ONE}, {}):
            bob = talk(server, "bob", after=1, room_id="0" * 20, history=1, **fields)
            bob.expect("MESSAGE", text="two", history=True)
            bob.stream.cancel()
            ann.until("LEFT", participant="bob")


def test_a_client_comes_into_the_room_that_it_names():
    with Server() as server:
        for name, fields in (("ann", {}), ("bob", {"session": ONE})):
            member = talk(server, name, room="tea", **fields)
            assert member.welcome.room == "tea", member.welcome
            member.ask("send", text="hi")
            member.until("MESSAGE", room="tea", text="hi")


def test_who_names_a_room_where_nobody_can_go_is_refused():
    """It landed in the lobby, after an error that a program may not look at."""
    with Server("--rooms", "closed") as server:
        for fields in ({}, {"session": ONE}):
            refused(server, request("session", 7, name="bob", room="nowhere", **fields), "NOT_FOUND",
                    words="no-such-room: there is no room nowhere; see ListRooms")
        assert talk(server, "bob", room="lobby").welcome.room == "lobby"
    with Server("--max-rooms", "2") as server:
        assert talk(server, "ann", room="tea").welcome.room == "tea"
        refused(server, request("session", name="bob", room="milk"), "RESOURCE_EXHAUSTED")
        for fields in ({}, {"session": ONE}):
            refused(server, request("session", 7, name="bob", room="a*b", **fields), "INVALID_ARGUMENT",
                    words="bad-room-name: a room's name has 1 to 50 letters, digits, _ - . # and single spaces inside, and is not "
                          "like an id; choose another")
        assert [room.name for room in service(server).ListRooms().rooms] == ["lobby", "tea"]


def test_a_field_that_is_missing_is_named():
    with Server() as server:
        bob = talk(server, "bob")
        for number, (op, fields, name) in enumerate((
                ("send", {}, "text"), ("send", {"room": "lobby"}, "text"), ("dm", {}, "to"), ("dm", {"to": "bob"}, "text"), ("switch", {}, "room"),
                ("delete_room", {}, "room"), ("invite", {"room": "lobby"}, "user"), ("search", {}, "words"), ("nick", {}, "name"),
                ("ignore", {}, "user"), ("admin", {}, "password"), ("line", {}, "text")), 1):
            bob.ask(op, number, **fields)
            bob.expect("ERROR", id=number, code="bad-request",
                       text=f'the field "{name}" of the request is missing or empty; see chat.proto')
        assert service(server).GetRoom(room="lobby").last == 1


def test_a_line_does_what_it_does_at_the_line_door():
    with Server() as server:
        ann = server.join("ann")
        bob = talk(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        for line, said in (("hello", "bob: hello"), ("//x", "bob: /x"), ("/me waves", "~ bob waves"),
                           ("/topic green", 'User "bob" set the topic: green'), ("/topic --clear", 'User "bob" removed the topic')):
            bob.ask("line", text=line)
            ann.expect(said)
        bob.ask("line", text="/serach x")
        bob.until("ERROR", code="unknown-command", id=0)
        bob.ask("line", text="/events")
        bob.expect("NOTICE", text="you get events already")
        bob.ask("line", text="x" * (MAX_LINE + 1))
        bob.expect("ERROR", code="line-too-long")
        bob.ask("line", text="/quit")
        bob.expect("NOTICE", text="Goodbye bob.")
        bob.expect_end("OK")
        refused(server, request("line", 3, text="/who"), "INVALID_ARGUMENT", event="bad-request")


SLOW_LINES = 6000 if BUILD_KIND == "plain" else 2000


@on_each_journal
def test_a_slow_reader_loses_nothing_and_nobody_waits_for_it(journal):
    """Of 1 KB each: far more than HTTP/2's windows and the sockets hold."""
    journal = f"memory:{SLOW_LINES + 1000}" if journal == "memory" else journal
    with Server("--lag-memory", "64K", journal=journal) as server:
        options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))
        slow = Talk(Channel(server, options=options).service("tcpchat.v1.Chat")).come("slow")
        fast = server.join("fast")
        slow.expect("JOINED", participant="fast")
        for start in range(0, SLOW_LINES, 50):
            fast.outgoing = b"".join(b"%06d " % i + b"x" * 1000 + b"\n" for i in range(start, start + 50))
            pump([fast], lambda client: client.buffer.count(b"\n") == 50)
            fast.buffer.clear()
        fast.say("the end")
        events = slow.until("MESSAGE", text="the end")
        assert [event.code for event in events if event.seq == 0] == ["behind"], "it was not slow, or was told otherwise"
        texts = [event.text for event in events if kind_of(event) == "MESSAGE"]
        assert [int(text[:6]) for text in texts[:-1]] == list(range(SLOW_LINES))
        slow.is_alive()


def test_the_stop_of_the_server_is_told_and_then_the_calls_end():
    with Server() as server:
        methods = service(server)
        members = [Talk(methods).come(f"bob{i}") for i in range(5)]
        reader = Events(methods.Subscribe(room="lobby"))
        members[-1].is_alive()
        server.send_signal(signal.SIGTERM)
        for member in (*members, reader):
            member.until("FAREWELL", address=f"127.0.0.1:{server.port}")
            member.expect_end("UNAVAILABLE", "the server is stopping")
        assert server.ended() == 0


# ---- Reading unseen. ----

def test_who_subscribes_reads_unseen_until_the_room_is_closed():
    with Server() as server:
        methods = service(server)
        ann = talk(server, "ann", room="tea")
        ann.say("one", "two")
        reader = Events(methods.Subscribe(room="tea", after=0))
        reader.expect("JOINED", participant="ann", seq=1, history=False)
        reader.expect("MESSAGE", text="one", seq=2)
        reader.expect("MESSAGE", text="two", seq=3)
        late = Events(methods.Subscribe(room="tea", history=1))
        late.expect("MESSAGE", text="two", history=True)
        whole = Events(methods.Subscribe(room="tea", all_history=True))
        assert whole.texts_until("two") == ["one", "two"]
        assert methods.GetRoom(room="tea").people == 1
        ann.say("three")
        for each in (reader, late, whole):
            each.expect("MESSAGE", text="three", seq=4, history=False)
        ann.ask("delete_room", room="tea")
        for each in (reader, late, whole):
            each.expect("ROOM_CLOSED", participant="ann")
            each.expect_end("OK")


def test_who_cannot_subscribe_is_told_why():
    with Server() as server:
        methods = service(server)
        Events(methods.Subscribe(room="nowhere")).expect_end(
            "NOT_FOUND", "no-such-room: there is no room nowhere; see ListRooms")
        Events(methods.Subscribe(room_id="1")).expect_end("INVALID_ARGUMENT")


def test_a_subscription_that_breaks_goes_on_without_hole_or_double():
    with Server(journal="sqlite:chat.db") as server, Talkers(server):
        methods = service(server)
        last = 0
        for _ in range(6):
            reader = Events(methods.Subscribe(after=last))
            for _ in range(150):
                event = reader.event()
                if event.seq != 0:
                    assert event.seq == last + 1, (last, event)
                    last = event.seq
            reader.stream.cancel()


# ---- One call each. ----

def test_send_says_something_without_being_there():
    with Server() as server:
        ann = server.join("ann")
        methods = service(server)
        answer = methods.Send(name="ci", text="build failed")
        assert (answer.seq, answer.room, answer.name, answer.repeated) == (2, "lobby", "ci", False), answer
        assert answer.room_id == methods.GetRoom(room="lobby").id
        assert methods.Send(text="waves", action=True).name.startswith("guest#")
        ann.expect("ci: build failed")
        assert re.fullmatch("~ guest#[0-9a-f]{6} waves", ann.line())
        assert re.fullmatch("ann#[0-9a-f]{6}", methods.Send(name="ann", text="x").name)
        assert methods.Send(room="ops", name="ci", text="one\ntwo").room == "ops"
        assert methods.ListMessages(room="ops").messages[0].text == "one␤two"


@on_each_journal
def test_what_is_sent_with_a_number_is_kept_once(journal):
    with Server(journal=journal) as server:
        ann = server.join("ann")
        first = service(server).Send(name="ci", text="hi", session=ONE, number=1)
        again = service(server).Send(name="ci", text="hi", session=ONE, number=1)
        assert (first.seq, first.repeated, again.seq, again.repeated) == (2, False, 2, True)
        assert service(server).Send(name="ci", text="hi", session=OTHER, number=1).seq == 3
        ann.expect("ci: hi", "ci: hi")
        renamed = service(server).Send(name="later", text="hi", session=ONE, number=1)
        assert (renamed.name, renamed.room, renamed.repeated) == ("ci", "lobby", True), renamed
        elsewhere = service(server).Send(name="later", room="tea", text="hi", session=ONE, number=1)
        assert (elsewhere.name, elsewhere.room, elsewhere.seq) == ("ci", "lobby", 2), elsewhere


def test_send_says_what_is_wrong():
    with Server("--rooms", "closed") as server:
        send = service(server).Send
        fails("INVALID_ARGUMENT", send, text="")
        fails("INVALID_ARGUMENT", send, text="\x01")
        fails("INVALID_ARGUMENT", send, text="x" * (MAX_LINE + 1))
        fails("INVALID_ARGUMENT", send, text="x", name="b*b")
        for fields in ({"session": ONE}, {"number": 1}, {"session": "1", "number": 1}, {"session": "0" * 32, "number": 1},
                       {"session": ONE, "number": 2 ** 63}):
            fails("INVALID_ARGUMENT", send, text="x", **fields)
        fails("NOT_FOUND", send, text="x", room="nowhere")
        assert send(text="x" * MAX_LINE).seq == 1


def test_rooms_are_made_listed_shown_and_closed():
    with Server() as server:
        methods = service(server)
        tea = methods.CreateRoom(name="tea", session=ONE)
        assert (tea.name, tea.topic, tea.people, tea.last) == ("tea", "", 0, 0) and tea.created_at_ns > 0, tea
        secret = methods.CreateRoom(name="secret", private=True)
        nameless = methods.CreateRoom(private=True)
        assert nameless.name == nameless.id
        fails("ALREADY_EXISTS", methods.CreateRoom, name="TEA", words="room-exists: there is a room TEA already")
        fails("INVALID_ARGUMENT", methods.CreateRoom, name="0" * 20)
        fails("INVALID_ARGUMENT", methods.CreateRoom, name="x", session="1")
        fails("INVALID_ARGUMENT", methods.CreateRoom)
        ann = talk(server, "ann", room="tea")
        ann.ask("topic", 1, text="green")
        ann.until("NOTICE", id=1)
        shown = methods.GetRoom(room=tea.id)
        assert (shown.name, shown.topic, shown.people, shown.last) == ("tea", "green", 1, 2), shown
        assert methods.GetRoom(room=secret.id).name == "secret"
        listed = methods.ListRooms()
        assert {room.name for room in listed.rooms} == {"lobby", "tea"} and not listed.more, listed
        fails("NOT_FOUND", methods.GetRoom, room="nowhere", words="no-such-room: there is no room nowhere; see ListRooms")
        fails("NOT_FOUND", methods.DeleteRoom, room="nowhere")
        fails("PERMISSION_DENIED", methods.DeleteRoom, room="lobby", session=ONE)
        fails("PERMISSION_DENIED", methods.DeleteRoom, room="tea", session=OTHER)
        fails("UNAUTHENTICATED", methods.DeleteRoom, room="tea",
              words="not-allowed: only who made tea, or an administrator, may close it; tell the session with which it was made, or the "
                    "administrators' password (authorization: Bearer PASSWORD)")
        methods.DeleteRoom(room="tea", metadata=(("chat-session", ONE),))
        ann.expect("ROOM_CLOSED", room="tea")
        fails("NOT_FOUND", methods.GetRoom, room="tea")


def test_who_makes_a_room_in_talk_may_close_it_by_its_session():
    with Server() as server:
        bob = talk(server, "bob", session=ONE)
        bob.ask("new_room", 1, room="tea")
        bob.expect("NOTICE", id=1)
        service(server).DeleteRoom(room="tea", session=ONE)
        bob.expect("ROOM_CLOSED", room="tea")
        made = service(server).CreateRoom(name="milk", session=ONE)
        bob.ask("join", 2, room=made.id)
        bob.until("NOTICE", id=2)
        bob.ask("delete_room", 3, room="milk")
        bob.until("ROOM_CLOSED", room="milk", participant="bob")


def test_an_administrator_closes_rooms_by_metadata():
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        methods = service(server)
        ann = talk(server, "ann", room="tea")
        fails("UNAUTHENTICATED", methods.DeleteRoom, room="tea", metadata=(("authorization", "Bearer wrong"),))
        methods.DeleteRoom(room="tea", metadata=(("authorization", "Bearer secret"),))
        ann.expect("ROOM_CLOSED", room="tea", participant=re.compile("guest#[0-9a-f]{6}"))
        ann.ask("join", 1, room="milk")
        ann.until("NOTICE", id=1)
        methods.DeleteRoom(room="milk", metadata=(("authorization", "Basic Ym9iOnNlY3JldA=="),))
        ann.until("ROOM_CLOSED", room="milk", participant="bob")


def test_nobody_makes_rooms_where_rooms_are_closed():
    with Server("--rooms", "closed") as server:
        fails("PERMISSION_DENIED", service(server).CreateRoom, name="tea")
        fails("PERMISSION_DENIED", service(server).CreateRoom, private=True)


@on_each_journal
def test_messages_are_listed_forward_and_back(journal):
    with Server(journal=journal) as server:
        ann = talk(server, "ann")
        ann.say(*[f"text {i}" for i in range(1, 11)])
        methods = service(server)

        def listed(**fields):
            answer = methods.ListMessages(**fields)
            assert (answer.room, answer.last) == ("lobby", 11)
            return [event.seq for event in answer.messages], answer.next

        assert listed() == (list(range(1, 12)), 11)
        assert listed(limit=3) == ([9, 10, 11], 11)
        assert listed(after=0, limit=3) == ([1, 2, 3], 3)
        assert listed(after=3, limit=100) == (list(range(4, 12)), 11)
        assert listed(after=11) == ([], 11)
        assert listed(after=2 ** 64 - 1) == ([], 11)
        assert listed(before=5, limit=2) == ([3, 4], 4)
        assert listed(before=2, limit=2)[0] == [1]
        assert listed(before=1)[0] == [] and listed(before=0)[0] == []
        fails("INVALID_ARGUMENT", methods.ListMessages, limit=1001)
        fails("NOT_FOUND", methods.ListMessages, room="nowhere")
        event = methods.ListMessages(after=1, limit=1).messages[0]
        assert (kind_of(event), event.participant, event.text, event.room) == ("MESSAGE", "ann", "text 1", "lobby"), event


def test_an_answer_with_long_messages_is_one_that_a_client_takes():
    """At most 4 MB at a time; who reads on, or back, gets all of them."""
    count = 70
    with Server(journal="sqlite:chat.db") as server:
        methods = service(server)
        for i in range(count):
            methods.Send(name="ci", text=f"{i:05} " + "x" * (MAX_LINE - 6))
        forward = []
        after = 0
        while (answer := methods.ListMessages(after=after, limit=1000)).messages:
            assert len(answer.messages) < count
            forward += [event.seq for event in answer.messages]
            after = answer.next
        assert forward == list(range(1, count + 1))
        back = []
        before = count + 1
        while (answer := methods.ListMessages(before=before, limit=1000)).messages:
            back = [event.seq for event in answer.messages] + back
            before = answer.messages[0].seq
        assert back == forward


def test_answers_that_nobody_reads_take_little_memory():
    """An answer of 4 MB was made as a whole, and waited so: a hundred calls of one connection held 600 MB."""
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    calls, most = 100, 600 << 10  # a page, and what is on its way while all of them begin
    with Server(journal="sqlite:chat.db") as server:
        methods = service(server)
        for i in range(70):
            methods.Send(name="ci", text=f"{i:05} " + "x" * (MAX_LINE - 6))
        asked = protos().kind("tcpchat.v1.ListMessagesRequest")(limit=1000).SerializeToString()
        whole, status = Peer(server).ask("/tcpchat.v1.Chat/ListMessages", asked)
        assert status == (0, "")
        before, threads = server.memory(), server.threads()
        peer = Peer(server, window=0)
        for _ in range(calls):
            peer.call("/tcpchat.v1.Chat/ListMessages").send(asked, end=True)
        wait_for(lambda: server.threads() >= threads + calls, "all calls are there")
        grown = (server.memory() - before) / calls
        assert grown < most, f"{grown / 1024:.0f} KiB each"
        last = list(peer.calls.values())[-1]
        peer.h2.increment_flow_control_window(5 << 20, last.id)
        peer.flush()
        assert last.bytes() == whole and last.status() == (0, "")
        grown = (server.memory() - before) / calls
        assert grown < most, f"{grown / 1024:.0f} KiB each"


def test_who_asks_much_and_does_not_read_takes_little_memory():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server() as server:
        peer = Peer(server, window=0)
        calls = [peer.call("/tcpchat.v1.Chat/Talk") for _ in range(50)]
        for i, call in enumerate(calls):
            call.send(request("session", name=f"asker{i}").SerializeToString())
        wait_for(lambda: server.log.find('joined name="asker49"'), "all are there")
        before = server.memory()
        peer.ask_much(calls, request("help").SerializeToString())
        grown = (server.memory() - before) / len(calls)
        assert grown < 400 << 10, f"{grown / 1024:.0f} KiB each"


def test_who_asks_much_at_once_and_reads_late_is_answered():
    with Server() as server:
        bob = talk(server, "bob")
        for i in range(1, 501):
            bob.ask("help", id=i)
            bob.ask("ping", text=str(i))
        bob.ask("send", text="that is all")
        pongs = []
        while (event := bob.event()).text != "that is all":
            if kind_of(event) == "PONG":
                pongs.append(int(event.text))
        assert pongs == list(range(1, 501))


# ---- What the page says. ----

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"
COMMAND = re.compile(r" {4}\$ (?:grpcurl -plaintext|buf curl --protocol grpc --http2-prior-knowledge)(?: -d '?(.*?)'?)?"
                     r" (?:localhost:7777 |http://localhost:7777/)(\S+)")
VARYING = ("atNs", "createdAtNs", "roomId", "id")


def examples():
    """What is called, with what (JSON, "@": what follows), and the lines after it."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        match = COMMAND.fullmatch(line)
        if match:
            found.append((match.group(2), match.group(1), []))
        elif not line.startswith("    "):
            found.append(None)
        elif found and found[-1] is not None:
            found[-1][2].append(line.strip())
    return [example for example in found if example is not None]


def as_shown(value):
    """JSON without what is different each time; a request's number, which has no letters, stays."""
    if isinstance(value, dict):
        return {name: as_shown(part) for name, part in value.items()
                if name not in VARYING or (name == "id" and part.isdigit() and len(part) < 20)}
    return [as_shown(part) for part in value] if isinstance(value, list) else value


def check_shown(answer, line):
    from google.protobuf import json_format
    got = json_format.MessageToDict(answer)
    assert as_shown(got) == as_shown(json.loads(line)) and list(got) == list(json.loads(line)), f"{line} is shown, but it is {got}"


def converse(stream, kind, lines):
    from google.protobuf import json_format
    for line in lines:
        if line.startswith("⇢ "):
            stream.send_message(json_format.Parse(line[2:], kind()))
        else:
            check_shown(stream.next(), line.removeprefix("⇠ "))


def run_example(channel, target, data, lines):
    if target == "list":
        reflection = channel.service("grpc.reflection.v1.ServerReflection").ServerReflectionInfo()
        reflection.send(list_services="*")
        assert sorted(service.name for service in reflection.next().list_services_response.service) == sorted(lines)
        return
    name, _, method = target.rpartition("/")
    kind = protos().kind(protos().methods[name][method].input_type.removeprefix("."))
    call = getattr(channel.service(name), method)
    if data == "@":
        converse(call(), kind, lines)
        return
    from google.protobuf import json_format
    check_shown(call(json_format.Parse(data, kind())), lines[0])


def test_the_examples_of_the_protocol_are_true():
    with Server() as server:
        channel = Channel(server)
        found = examples()
        assert len(found) >= 8, found
        for target, data, lines in found:
            run_example(channel, target, data, lines)


if __name__ == "__main__":
    main()
