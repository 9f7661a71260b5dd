"""Event mode: each line from the server is one JSON object as docs/events.schema.json says; requests; several rooms."""

import datetime
import json
import re
import signal
import socket
import time

from events import SCHEMA, Events, come_back, faults, join_events, parse_event
from talk import MAX_LINE, Server, main, pump, temporary_file

HOME = "You are in lobby. /join finds a stranger, /rooms lists the rooms."


def test_the_validator_is_strict():
    good = {"seq": 1, "room": "tea", "at": "2026-11-21T08:00:00.123Z", "kind": "message", "participant": "bob",
            "text": "hi"}
    assert not faults(good, SCHEMA)
    for change in ({"seq": 0}, {"seq": True}, {"seq": "1"}, {"room": ""}, {"at": "now"}, {"kind": "other"},
                   {"more": 1}, {"text": "\x1b"}, {"text": None}, {"participant": "x" * 51}):
        assert faults({**good, **change}, SCHEMA), change
    for name in good:
        assert faults({key: value for key, value in good.items() if key != name}, SCHEMA), name


def test_every_kind_of_event_is_as_the_schema_says():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = server.join("bob")
        ann.expect(kind="joined", room="lobby", participant="bob", seq=2, event_type="participant_joined")
        bob.say("hello \"\\\t李")
        ann.expect(kind="message", room="lobby", participant="bob", text="hello \"\\\t李", seq=3)
        bob.say("")
        ann.expect(kind="message", text="")
        bob.say("/me waves")
        ann.expect(kind="action", participant="bob", text="waves")
        bob.say("/dm ann psst")
        ann.expect(kind="direct", participant="bob", to="ann", text="psst")
        bob.say("/nick rob")
        ann.expect(kind="nick", participant="bob", text="rob")
        bob.say("/topic tea")
        ann.expect(kind="topic", participant="rob", text="tea")
        bob.say("/new-room milk")
        ann.expect(kind="left", participant="rob", text="for another room", event_type="participant_left")
        bob.say("/invite ann")
        ann.expect(kind="notice", participant="rob", room="milk")
        ann.say("/join milk")
        ann.expect(kind="notice", text="You are in milk, 2 here.")
        bob.say("/delete-room milk")
        ann.until(kind="room_closed", room="milk", participant="rob")
        ann.until(kind="joined", room="lobby", participant="rob")
        ann.say("/frobnicate")
        ann.until(kind="error", code="unknown-command")
        ann.say("/ping 7")
        ann.expect(kind="pong", text="7")
        server.stop()
        ann.expect(kind="notice", event_type="server_shutting_down", address=f"127.0.0.1:{server.port}")
        ann.client.expect_end()
        kinds = {part["properties"]["kind"]["const"] for part in SCHEMA["$defs"].values() if "properties" in part}
        assert set(ann.seen) == kinds, kinds - set(ann.seen)


def test_a_client_hears_its_own_words_as_events():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.say("hello")
        ann.expect(kind="message", participant="ann", text="hello", seq=2)
        ann.say("//x")
        ann.expect(kind="message", text="/x")
        ann.say("/events")
        ann.expect(kind="notice", text="you get events already")
        ann.say("!exit")
        ann.expect(kind="notice", text="Goodbye ann.")
        ann.client.expect_end()


def test_events_may_be_the_first_line():
    with Server() as server:
        client = server.connect()
        client.say("/events")
        name = client.expect_welcome(re.compile("guest#[0-9a-f]{6}"))
        event = parse_event(client.line())
        assert event["kind"] == "welcome" and event["participant"] == name


def test_the_welcome_tells_the_room_where_one_is():
    with Server() as server:
        ann = server.join("ann")
        ann.say("/join tea")
        ann.expect("* You are in tea, 1 here.")
        Events(ann, "tea")


def test_a_name_and_events_in_one_packet():
    with Server() as server:
        client = server.connect()
        client.raw(b'ann\n/events\n{"op":"send","text":"hi","id":1}\n')
        client.expect_welcome("ann")
        assert parse_event(client.line())["kind"] == "welcome"
        kinds = [parse_event(client.line()) for _ in range(2)]
        assert {event["kind"] for event in kinds} == {"message", "notice"}, kinds


# ---- Requests. ----


def test_a_request_is_answered_with_its_id():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = join_events(server, "bob")
        ann.expect(kind="joined")
        ann.ask("send", room="lobby", text="hi", id=7)
        events = ann.until(kind="notice", id=7)
        assert events[-1]["code"] == "said" and events[-1]["room"] == "lobby" and events[-1]["seq"] == 3, events
        bob.expect(kind="message", participant="ann", text="hi", seq=3)
        ann.ask("ping", id="x")
        ann.until(kind="pong", id="x")
        for i, (op, fields, kind, code) in enumerate([
                ("who", {}, "notice", None),
                ("rooms", {}, "notice", None),
                ("history", {"count": 1}, "notice", None),
                ("history", {"before": 3, "room": "lobby"}, "notice", None),
                ("history", {"before": "2026-11-21T08:00:00Z"}, "notice", None),
                ("mark", {"seq": 1}, "notice", "done"),
                ("latest", {}, "notice", "room"),
                ("search", {"words": "tea"}, "error", "no-search"),
                ("session", {"session": "0123456789abcdef" * 2}, "notice", "done"),
                ("help", {"command": "me"}, "notice", None),
                ("join", {"room": "tea time"}, "notice", "room"),
                ("topic", {"text": "green"}, "notice", "done"),
                ("topic", {}, "notice", None),
                ("switch", {"room": "lobby"}, "notice", None),
                ("leave", {"room": "tea time"}, "notice", "done"),
                ("dm", {"to": "bob", "text": "psst"}, "direct", None),
                ("dm", {"to": "ann", "text": "note"}, "direct", None),
                ("invite", {"user": "bob"}, "notice", None),
                ("ignore", {"user": "bob"}, "notice", None),
                ("nick", {"name": "Ann B"}, "notice", "done"),
                ("new_room", {"room": "milk"}, "notice", "room"),
                ("delete_room", {"room": "milk"}, "notice", None),
                ("new_room", {}, "notice", "room"),
                ("join", {}, "error", "already-in-room"),
                ("send", {"room": "nowhere", "text": "x"}, "error", "not-in-room"),
                ("send", {}, "error", "bad-request"),
                ("admin", {"password": "guess"}, "error", "wrong-password"),
                ("frobnicate", {}, "error", "bad-request"),
                ("quit", {}, "notice", None)]):
            ann.ask(op, id=100 + i, **fields)
            last = ann.until(id=100 + i)[-1]
            assert (last["kind"], last.get("code")) == (kind, code), (op, last)


def test_plain_lines_and_requests_may_take_turns():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.client.raw(b'one\n{"op":"send","text":"two"}\n/me three\n{"op":"send","text":"four","action":true}\n five\n')
        for kind, text in (("message", "one"), ("message", "two"), ("action", "three"), ("action", "four"),
                           ("message", " five")):
            ann.expect(kind=kind, text=text)


def test_a_line_in_braces_is_text_in_plain_mode():
    with Server() as server:
        bob = server.join("bob")
        bob.say('{"op":"quit"}')
        bob.expect('bob: {"op":"quit"}')


def test_what_a_request_says_is_made_safe():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = server.join("bob")
        ann.expect(kind="joined")
        ann.ask("send", text="a\x1b[31m\nbob: fake\x9b\r\n\u2028")
        bob.expect("ann: a[31m\u2424bob: fake\u2424\u2028")
        ann.expect(kind="message", text="a[31m\u2424bob: fake\u2424\u2028")
        ann.ask("nick", name="b\nob", id=1)
        ann.expect(kind="error", code="bad-name", id=1)
        ann.ask("nick", name="b\bob")
        bob.expect(re.compile('User "ann" is now "bob#[0-9a-f]{6}"'))


def test_hostile_json_is_an_error_and_nothing_else():
    bad = [
        b"{", b"{}", b"{{{{", b"{]", b'{"op"', b'{"op":}', b'{"op":null}', b'{"op":[]}', b'{"op":"\\ud800"}',
        b'{"op":"ping","op":"ping"}', b'{"op":"send"}', b'{"op":"send","text":null}', b'{"op":"send","text":{"a":1}}',
        b'{"op":"send","text":"x","room":1}', b'{"op":"send","text":"\xff"}', b'{"op":"send","text":"\\u0000"}',
        b'{"op":"send","text":"x"} trailing', b'{"op":"send","text":"x"}{}', b'{"op":"ping","id":1e400}',
        b'{"op":"ping","id":99999999999999999999999}', b'{"op":"ping","id":[]}', b'{"op":"ping","id":1.5}',
        b'{"op":"ping","id":"' + b"x" * 101 + b'"}', b'{"op":"join","room":"a\\"b"}', b'{"op":"join","room":true}',
        b'{"a":' * 10000 + b"1" + b"}" * 10000, b'{"a":' + b"[" * 30000, b'{"a":' + b"[" * 20000 + b"]" * 20000 + b"}",
        b'{"op":"' + b"x" * 60000 + b'"}', b'{"' + b"k" * 60000 + b'":1}', b'{"op":"ping"' + b',"a":1' * 2 + b"}",
        b"{" + b",".join(b'"%d":%d' % (i, i) for i in range(5000)) + b"}", b"{" + b"\\" * 60000, b'{"op":"\\',
    ]
    with Server() as server:
        ann = join_events(server, "ann")
        for line in bad:
            ann.client.raw(line + b"\n")
            ann.expect(kind="error", code="bad-request")
        for op, fields, code in (("send", {"room": "x" * 50000, "text": ""}, "not-in-room"),
                                 ("send", {"room": "\ufdfa" * 10000, "text": ""}, "not-in-room"),
                                 ("join", {"room": "x" * 50000}, "usage"), ("join", {"room": ""}, "usage"),
                                 ("nick", {"name": "\ufdfa" * 10000}, "bad-name"), ("nick", {"name": ""}, "usage"),
                                 ("who", {"room": "\ufdfa" * 66}, "no-such-room"),
                                 ("ignore", {"user": "x" * 201}, "usage")):
            ann.client.raw(json.dumps({"op": op, **fields}, ensure_ascii=False).encode() + b"\n")
            ann.expect(kind="error", code=code)
        ann.client.raw(b'{"op":"send","text":"' + b"x" * MAX_LINE + b'"}\n')
        ann.expect(kind="error", code="line-too-long")
        ann.ask("send", text="still here", id=1)
        ann.until(kind="notice", code="said", id=1)


def test_a_request_that_cannot_be_read_is_answered_with_its_id():
    with Server() as server:
        ann = join_events(server, "ann")
        for line in (b'{"op":"send","text":"\\u0000","id":7}', b'{"op":"send","text":"\\ud800","id":7}',
                     b'{"op":"send","text":"\xff","id":7}', b'{"id":7,"x":' + b"[" * 30000, b'{"id":7,"op":"send","text":"half'):
            ann.client.raw(line + b"\n")
            ann.expect(kind="error", code="bad-request", id=7)
        ann.client.raw(b'{"id":7,"id":8}\n')
        ann.expect(kind="error", code="bad-request", id=None)


def test_the_longest_text_passes_in_a_request():
    with Server() as server:
        ann = join_events(server, "ann")
        text = "x" * (MAX_LINE - len('{"op":"send","text":""}'))
        ann.client.raw(b'{"op":"send","text":"' + text.encode() + b'"}\n')
        ann.expect(kind="message", text=text)


def test_rooms_tell_when_they_were_made():
    before = time.time()
    with Server() as server:
        ann = join_events(server, "ann")
        ann.ask("join", room="Johnny Tea", id=1)
        ann.until(id=1)
        after = time.time()
        ann.ask("rooms", id=2)
        ann.until(kind="notice", id=2)
        made = {}
        for name in ("Johnny Tea", "lobby"):
            made[name] = ann.expect(kind="notice", id=2, room=name)["created_at"]
            seconds = datetime.datetime.fromisoformat(made[name].replace("Z", "+00:00")).timestamp()
            assert before - 0.001 <= seconds <= after, (before, made, after)
        ann.ask("topic", id=3)
        ann.expect(kind="notice", id=3, created_at=None)
        minute = made["Johnny Tea"][:16].replace("T", " at ")
        ann.expect(kind="notice", id=3, room="Johnny Tea", created_at=made["Johnny Tea"],
                   text=f"Johnny Tea was made by ann on {minute} UTC")


# ---- Several rooms. ----


def test_a_client_in_event_mode_is_in_several_rooms():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = server.join("bob")
        ann.expect(kind="joined")
        ann.say("/join tea")
        ann.expect(kind="notice", text="You are in tea, 1 here.")
        bob.say("in the lobby")
        ann.expect(kind="message", room="lobby", text="in the lobby")
        bob.expect("bob: in the lobby")  # nobody left
        bob.say("/join tea")
        bob.expect("* You are in tea, 2 here.")
        ann.until(kind="left", room="lobby", participant="bob")
        ann.say("plain text goes to the last one")
        bob.expect("ann: plain text goes to the last one")
        ann.until(kind="message", room="tea")
        ann.say("/switch lobby")
        ann.expect(kind="notice", text="plain text goes to lobby now")
        ann.say("to nobody")
        ann.expect(kind="message", room="lobby", text="to nobody")
        ann.ask("send", room="TEA", text="to bob")
        bob.expect("ann: to bob")
        ann.expect(kind="message", room="tea", text="to bob")
        ann.say("/switch nowhere")
        ann.expect(kind="error", code="not-in-room")
        ann.say("/leave tea")
        bob.expect('User "ann" just left the chat (for another room)')
        ann.expect(kind="notice", code="done", room="tea", text="you left tea", id=None)
        ann.say("/who")
        ann.expect(kind="notice", room="lobby", text="1 here: ann")


def test_who_leaves_is_told_where_plain_text_goes():
    """A story: after "/leave" a client believed to be in one room, and the server sent its words to another one."""
    with Server() as server:
        ann = join_events(server, "ann")
        for room in ("tea", "milk", "jam"):
            ann.ask("join", room=room, id=room)
            ann.until(id=room)
        ann.ask("leave", room="tea", id=1)
        ann.expect(kind="notice", code="done", id=1, room="tea")
        ann.ask("leave", id=2)
        ann.expect(kind="notice", code="room", id=2, room="milk", text="plain text goes to milk now")
        ann.say("in milk")
        ann.expect(kind="message", room="milk", text="in milk")
        ann.ask("delete_room", room="milk", id=3)
        events = ann.until(kind="notice", code="room", id=3)
        assert events[-1]["room"] == "lobby" and events[-1]["text"] == "plain text goes to lobby now", events
        assert any(event.get("text") == "milk is closed" and event["room"] == "milk" for event in events), events
        ann.ask("join", room="tea", id=4)
        ann.until(id=4)
        ann.ask("leave", room="lobby", id=5)
        ann.until(kind="notice", code="done", id=5, room="lobby")
        ann.say("/leave")
        ann.expect(kind="notice", code="room", room="lobby", text=HOME)
        ann.ask("leave", id=6)
        ann.expect(kind="error", code="not-in-room", id=6)


def test_who_is_sent_out_of_a_room_is_told_where_plain_text_goes():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = join_events(server, "bob")
        for room in ("tea", "milk"):
            ann.ask("new_room", room=room, id=room)
            ann.until(id=room)
            bob.ask("join", room=room, id=room)
            bob.until(id=room)
        ann.ask("delete_room", room="milk", id=1)
        bob.until(kind="room_closed", room="milk")
        bob.expect(kind="notice", code="room", room="tea", id=None, text="plain text goes to tea now")
        bob.ask("switch", room="lobby", id=2)
        bob.expect(kind="notice", room="lobby", id=2, text="plain text goes to lobby now")
        ann.ask("delete_room", room="tea", id=3)
        bob.until(kind="room_closed", room="tea")
        bob.ask("ping", id=4)
        bob.expect(kind="pong", id=4)  # nothing has changed for it


def test_answers_about_a_room_name_it():
    with Server() as server:
        ann = join_events(server, "ann")
        server.join("bob")
        ann.expect(kind="joined")
        ann.ask("join", room="tea", id=1)
        ann.until(id=1)
        for op, fields, room, count in (("who", {}, "tea", 1), ("who", {"room": "lobby"}, "lobby", 1), ("topic", {}, "tea", 2),
                                        ("topic", {"room": "lobby"}, "lobby", 2), ("invite", {"user": "bob"}, "tea", 1),
                                        ("invite", {"user": "bob", "room": "lobby"}, "lobby", 1),
                                        ("switch", {"room": "tea"}, "tea", 1)):
            ann.ask(op, id=2, **fields)
            for _ in range(count):
                ann.expect(kind="notice", id=2, room=room)
        ann.ask("delete_room", room="tea", id=3)
        ann.until(kind="notice", id=3, room="tea", text="tea is closed")


def test_a_request_acts_on_the_room_that_it_names_or_on_none():
    """A story: "topic" with a "room" set the topic of the current one."""
    with Server() as server:
        ann = join_events(server, "ann")
        bob = server.join("bob")
        ann.expect(kind="joined")
        ann.ask("join", room="Johnny Tea", id=1)
        ann.until(id=1)
        ann.ask("topic", room="lobby", text="green", id=2)
        bob.expect('User "ann" set the topic: green')
        ann.expect(kind="topic", room="lobby", text="green")
        ann.expect(kind="notice", code="done", id=2)
        ann.ask("topic", room="johnny tea", text="--clear", id=3)
        ann.expect(kind="topic", room="Johnny Tea", text="--clear")
        ann.until(id=3)
        ann.ask("topic", text="--room lobby black", id=4)
        ann.expect(kind="topic", room="Johnny Tea", text="--room lobby black")
        ann.until(id=4)
        ann.say("/topic --room lobby black")
        ann.expect(kind="topic", room="lobby", text="black")
        ann.ask("topic", room="nowhere", text="green", id=5)
        ann.expect(kind="error", code="not-in-room", id=5)
        ann.say("/topic --room")
        ann.expect(kind="error", code="usage")
        ann.ask("invite", user="bob", room="nowhere", id=6)
        ann.expect(kind="error", code="not-in-room", id=6)
        for op, fields in (("ping", {}), ("rooms", {}), ("dm", {"to": "ann", "text": "x"}), ("nick", {"name": "anna"}),
                           ("help", {}), ("ignore", {"user": "bob"}), ("quit", {})):
            ann.ask(op, room="lobby", id=7, **fields)
            ann.expect(kind="error", code="bad-request", id=7,
                       text='this request takes no "room"; see the requests in PROTOCOL.md')


def test_a_topic_is_removed():
    with Server() as server:
        ann = join_events(server, "ann")
        bob = server.join("bob")
        ann.expect(kind="joined")
        for ask in (lambda: ann.ask("topic", text=""), lambda: ann.say("/topic --clear")):
            ann.ask("topic", text="green")
            ann.expect(kind="topic", text="green")
            ask()
            ann.expect(kind="topic", room="lobby", participant="ann", text="")
            bob.expect('User "ann" set the topic: green', 'User "ann" removed the topic')
            bob.say("/topic")
            bob.expect("* lobby has no topic; /topic TEXT sets one", re.compile(r"\* lobby was made on .+"))
            bob.say("/rooms")
            bob.expect("* 1 room:", "* lobby (2)")
        ann.say("/topic --clear it")
        ann.expect(kind="error", code="usage")


def test_a_number_that_is_too_large_is_said_to_be():
    with Server() as server:
        ann = join_events(server, "ann")
        for fields, wrong in ((b'"id":99999999999999999999', "the id is a number that is too large"),
                              (b'"id":-99999999999999999999', "the id is a number that is too large"),
                              (b'"x":99999999999999999999', "a number in the request is too large")):
            ann.client.raw(b'{"op":"ping",' + fields + b"}\n")
            ann.expect(kind="error", code="bad-request", id=None, text=wrong + "; see the requests in PROTOCOL.md")
        ann.client.raw(b'{"op":"ping","x":99999999999999999999,"id":7}\n')
        ann.expect(kind="error", code="bad-request", id=7)


def test_who_made_a_room_may_close_it_after_it_came_back():
    session = "00112233445566778899aabbccddeeff"
    with Server() as server:
        ann = join_events(server, "ann")
        bob = come_back(server, "bob", session)
        bob.ask("new_room", room="tea", id=1)
        bob.until(id=1)
        ann.until(kind="joined", participant="bob")
        ann.ask("join", room="tea", id=1)
        ann.until(id=1)
        bob.client.reset()
        ann.until(kind="left", room="tea", participant="bob")
        rob = come_back(server, "rob", session)
        ann.ask("delete_room", room="tea", id=2)
        refused = ann.until(id=2)[-1]
        assert refused["text"] == "only who made tea, or an administrator, may close it; ask rob", refused
        zero = come_back(server, "zero", "0" * 32)
        zero.ask("delete_room", room="tea", id=1)
        zero.until(kind="error", code="not-allowed", id=1)
        rob.ask("delete_room", room="tea", id=2)
        rob.until(kind="notice", id=2, text="tea is closed")
        ann.until(kind="room_closed", room="tea", participant="rob")
        ann.ask("new_room", room="milk", id=3)  # one without an id
        ann.until(kind="notice", code="room", id=3)
        zero.ask("delete_room", room="milk", id=4)
        zero.until(kind="error", code="not-allowed", id=4)


def test_a_new_name_is_told_in_each_room_once():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.say("/join tea")
        ann.expect(kind="notice")
        ann.say("/nick Anna")
        events = [ann.event(), ann.event()]
        assert {(event["kind"], event["room"], event["text"]) for event in events} == {
            ("nick", "lobby", "Anna"), ("nick", "tea", "Anna")}


def test_there_are_no_more_rooms_a_client_than_32():
    with Server() as server:
        ann = join_events(server, "ann")
        for i in range(31):
            ann.ask("join", room=f"room{i}", id=i)
            ann.expect(kind="notice", id=i)
        ann.ask("join", room="another", id=99)
        ann.expect(kind="error", code="too-many-rooms", id=99)
        ann.ask("rooms", id=100)
        ann.expect(kind="notice", text="32 rooms:")
        ann.until(text="room9 (1)")
        ann.say("/quit")
        ann.expect(kind="notice", text="Goodbye ann.")
        ann.client.expect_end()
        bob = server.join("bob")
        bob.say("/rooms")
        bob.expect("* 1 room:", "* lobby (1)")


def test_who_waits_for_a_stranger_and_leaves_another_room_waits_on():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.say("/join tea")
        ann.expect(kind="notice")
        ann.say("/join")
        ann.expect(kind="notice", text=re.compile("You wait for a stranger in room .+"))
        ann.say("/leave tea")
        bob = server.join("bob")
        ann.until(kind="joined", participant="bob")
        bob.say("/join")
        bob.expect(re.compile(r"\* You met a stranger .+"))
        ann.until(kind="joined", participant="bob")


def test_who_is_left_behind_by_a_stranger_is_told_that_the_room_is_over():
    """A story: there was only the other one's leaving, so a client went on in a room that was no more."""
    with Server() as server:
        ann = join_events(server, "ann")
        ann.say("/join")
        ann.expect(kind="notice", text=re.compile("You wait for a stranger in room .+"))
        bob = server.join("bob")
        ann.until(kind="joined", participant="bob")
        bob.say("/join")
        bob.expect(re.compile(r"\* You met a stranger .+"))
        bob.say("/leave")
        left = ann.until(kind="left", text="for another room", participant="bob")
        room = ann.until(kind="left", participant="bob")[-1]["room"] if left[-1]["room"] == "lobby" else left[-1]["room"]
        ann.until(kind="room_closed", room=room, participant=None)
        ann.say("in the lobby")
        ann.until(kind="message", room="lobby", text="in the lobby")


def test_a_stranger_who_is_in_too_many_rooms_does_not_take_one_away():
    """A story: it took the one who waited off the list, and could not come."""
    with Server() as server:
        ann = server.join("ann")
        bob = join_events(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        for i in range(31):
            bob.ask("join", room=f"room{i}", id=i)
            bob.expect(kind="notice", id=i)
        ann.say("/join")
        ann.expect(re.compile(r"\* You wait for .+"))
        bob.say("/join")
        bob.until(kind="error", code="too-many-rooms")
        carl = server.join("carl")
        carl.say("/join")
        carl.expect(re.compile(r"\* You met a stranger .+"))


# ---- A change of format in mid-stream. ----


def test_no_line_is_lost_or_doubled_when_events_begin_while_lines_flow():
    with Server() as server:
        ann = server.join("ann")
        for turn in range(30):
            bob = server.join("bob")
            count = 400
            ann.outgoing = b"".join(b"line %d\n" % i for i in range(count)) + b"/ping %d\n" % turn
            bob.outgoing = b"/events\n" if turn % 2 else b"/ping\n" * (turn + 1) + b"/events\n"
            pump([ann, bob], lambda client: (client is ann and b"* pong %d\n" % turn in client.buffer) or (
                client is bob and b'"text":"line %d"}' % (count - 1) in client.buffer)
                or (client is bob and b"ann: line %d\n" % (count - 1) in client.buffer and b'"welcome"' in client.buffer))
            ann.buffer.clear()
            numbers = []
            events_begun = False
            for line in bytes(bob.buffer).decode().split("\n")[:-1]:
                if line.startswith("{"):
                    events_begun = True
                    event = parse_event(line)
                    if event["kind"] == "message":
                        numbers.append(int(event["text"].removeprefix("line ")))
                else:
                    assert not events_begun, f"a plain line after the first event: {line}"
                    if line.startswith("ann: line "):
                        numbers.append(int(line.removeprefix("ann: line ")))
            assert events_begun and numbers == list(range(count)), (turn, numbers[:5], numbers[-5:], len(numbers))
            bob.buffer.clear()
            bob.say("/quit")
            bob.rest()
            while ann.line() != 'User "bob" just left the chat (normally)':
                pass


def test_a_slow_reader_that_begins_events_misses_nothing():
    with Server("--lag-memory", "64K") as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=4096)
        ann.expect('User "bob" just joined the chat!')
        count = 3000
        ann.outgoing = b"".join(b"%d " % i + b"x" * 1000 + b"\n" for i in range(count // 2))
        last = b"ann: %d " % (count // 2 - 1)
        pump([ann], lambda client: last in client.buffer)
        bob.say("/events")
        ann.buffer.clear()
        ann.outgoing = b"".join(b"%d " % i + b"x" * 1000 + b"\n" for i in range(count // 2, count))
        bob.outgoing = b""
        pump([ann, bob], lambda client: (b"ann: %d " % (count - 1) if client is ann
                                         else b'"text":"%d x' % (count - 1)) in client.buffer)
        numbers = []
        bob_text = bytes(bob.buffer).decode()
        for line in bob_text.split("\n")[:-1]:
            event = parse_event(line) if line.startswith("{") else None
            text = event["text"] if event and event["kind"] == "message" else line.removeprefix("ann: ")
            if text.startswith("* You are "):
                continue  # behind
            if not event or event["kind"] == "message":
                numbers.append(int(text.split(" ")[0]))
        if not bob_text.endswith("\n"):
            numbers.append(count - 1)
        assert numbers == list(range(count)), (numbers[:3], numbers[-3:], len(numbers))


def test_administrators_close_any_room():
    with temporary_file("open sesame\n") as path:
        with Server("--admin-password-file", path) as server:
            ann = join_events(server, "ann")
            ann.say("/join tea")
            ann.expect(kind="notice")
            bob = join_events(server, "bob")
            bob.ask("delete_room", room="tea", id=1)
            bob.expect(kind="error", code="not-allowed", id=1)
            bob.ask("admin", password="guess", id=2)
            bob.expect(kind="error", code="wrong-password", id=2)
            bob.ask("admin", password="open sesame", id=3)
            bob.expect(kind="notice", id=3)
            bob.ask("delete_room", room="tea", id=4)
            bob.expect(kind="notice", id=4)
            ann.until(kind="room_closed", room="tea", participant="bob")
            guesser = server.join("guesser")
            for _ in range(3):
                guesser.say("/admin guess")
                guesser.expect(re.compile("! wrong-password: .+"))
            guesser.expect_end()


if __name__ == "__main__":
    main()
