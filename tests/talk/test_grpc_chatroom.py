"""
rpc.ChatService, Chatroom's wire, and MessageService, Go-Chat's history in gRPC, by Google's library for Python.

The bugs are those of Chatroom's list in what is known of the predecessors.
"""

import base64
import os
import re
import tempfile
import threading
import time

from certificates import Certificates, options
from events import join_events
from grpc_client import Channel, fails, message
from grpc_talk import on_each_journal
from http2 import Peer
from talk import BUILD_KIND, DEADLINE, GREETING, MAX_LINE, TAG, Server, main, run_server, scaled, skip, temporary_file, wait_for
from websocket import GoChat, say_all

NO_ROOM = "room ID does not exist"
ENTERED = "Has entered the chat"
LEFT = "Has left the chat"
SERVER = "chat server"
CLOSING = (SERVER, "chat room is closing")
STOPPING = (SERVER, "the server is stopping")
BAD_NAME = "a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another"


class Person:
    """A call of Chat; 'service' may be a server, and a connection is made then."""

    def __init__(self, service, name, room="lobby", comes=True, **fields):
        if isinstance(service, Server):
            service = chatroom(service)
        self.call = service.Chat()
        self.name = name
        self.call.send(join={"room_id": room, "name": name}, **fields)
        if comes:
            self.expect((name, ENTERED))

    def say(self, text):
        self.call.send(message={"name": "whatever", "message": text})

    def next(self):
        got = self.call.next()
        return got.name, got.message

    def expect(self, *pairs):
        for pair in pairs:
            got = self.next()
            if isinstance(pair[1], re.Pattern):
                assert got[0] == pair[0] and pair[1].fullmatch(got[1]), f"{got} instead of {pair}"
            else:
                assert got == pair, f"{got} instead of {pair}"

    def rest(self):
        return [(got.name, got.message) for got in self.call.rest()]


def chatroom(server, **more):
    return Channel(server, **more).service("rpc.ChatService")


def rooms_of(service):
    return sorted(room.room_id for room in service.ListChatRooms().chat_rooms)


def lobby_of(service):
    """The id of the lobby, while there is no other room that is listed."""
    [room] = rooms_of(service)
    return room


def came(name):
    return f'User "{name}" just joined the chat!'


def went(name, how="normally"):
    return f'User "{name}" just left the chat ({how})'


# ---- The wire. ----

def test_messages_have_the_bytes_of_chatroom():
    for whole, wanted in (
            (message("rpc.ChatMessage", join={"room_id": "R", "name": "N"}), "0a 06 0a 01 52 12 01 4e"),
            (message("rpc.Message", name="Bob", message="hi"), "0a 03 42 6f 62 12 02 68 69"),
            (message("rpc.CreateChatRoomRequest"), ""),
            (message("rpc.CreateChatRoomRequest", private=True), "08 01"),
            (message("rpc.ChatRoom", room_id="R"), "0a 01 52"),
            (message("rpc.ListChatRoomsResponse", chat_rooms=[{"room_id": "R"}, {"room_id": "S"}]),
             "0a 03 0a 01 52 0a 03 0a 01 53"),
            (message("rpc.DeleteChatRoomRequest", room_id="R"), "0a 01 52"),
            (message("MessageResponses", data=[{"username": "a", "message": "b"}]), "0a 06 0a 01 61 12 01 62")):
        assert whole.SerializeToString() == bytes.fromhex(wanted), whole


def test_the_server_answers_in_these_bytes():
    with Server() as server:
        channel = Channel(server)
        room = channel.channel.unary_unary("/rpc.ChatService/CreateChatRoom")(b"", timeout=DEADLINE)
        assert re.fullmatch(rb"\x0a\x14[0-9a-f]{20}", room), room
        ann = Person(server, "ann", room[2:].decode())
        chat = channel.channel.stream_stream("/rpc.ChatService/Chat")
        done = threading.Event()

        def requests():
            yield b"\x0a\x1b\x0a\x14" + room[2:] + b"\x12\x03Bob"
            yield b"\x12\x04\x12\x02hi"
            done.wait()

        call = chat(requests())
        assert next(call) == b"\x0a\x03Bob\x12\x14" + ENTERED.encode()
        ann.expect(("Bob", ENTERED), ("Bob", "hi"))
        ann.say("hi")
        assert next(call) == bytes.fromhex("0a 03 61 6e 6e 12 02 68 69")
        done.set()
        call.cancel()
        ann.expect(("Bob", LEFT))
        assert channel.channel.unary_unary("/rpc.ChatService/DeleteChatRoom")(room, timeout=DEADLINE) == room
        ann.expect(CLOSING)
        ann.call.expect_end()


def test_what_is_no_message_ends_the_call():
    with Server() as server:
        service = chatroom(server)
        ann = Person(service, "ann")
        bob = Person(service, "bob")
        ann.expect(("bob", ENTERED))
        bob.call.send_message(b"\xff\xff\xff")
        bob.call.expect_end("INVALID_ARGUMENT")
        ann.expect(("bob", LEFT))
        carl = Person(service, "carl")
        ann.expect(("carl", ENTERED))
        carl.call.send_message(b"\x12\x04\x12\x02\xc3\x28")  # no UTF-8
        carl.call.expect_end("INVALID_ARGUMENT")
        ann.expect(("carl", LEFT))
        fails("INVALID_ARGUMENT", service.DeleteChatRoom, b"\x0a\xff")


# ---- Rooms. ----

@on_each_journal
def test_rooms_are_made_listed_and_deleted(journal):
    with Server(journal=journal) as server:
        service = chatroom(server)
        lobby = lobby_of(service)
        made = [service.CreateChatRoom().room_id for _ in range(3)]
        assert all(re.fullmatch("[0-9a-f]{20}", room) for room in made) and len(set(made)) == 3
        assert rooms_of(service) == sorted([lobby, *made])
        assert service.DeleteChatRoom(room_id=made[1]).room_id == made[1]
        assert rooms_of(service) == sorted([lobby, made[0], made[2]])
        fails("NOT_FOUND", service.DeleteChatRoom, room_id=made[1], words="chat " + NO_ROOM)
        fails("NOT_FOUND", service.DeleteChatRoom, room_id="", words="chat " + NO_ROOM)


def test_a_private_room_is_in_no_list_and_its_id_leads_to_it():
    with Server() as server:
        service = chatroom(server)
        room = service.CreateChatRoom(private=True).room_id
        assert room != lobby_of(service)
        ann = server.join("ann")
        ann.say("/rooms")
        ann.expect("* 1 room:", "* lobby (1)")
        bob = Person(service, "bob", room)
        assert room != lobby_of(service)
        carl = Person(service, "carl", room.upper())
        bob.expect(("carl", ENTERED))
        carl.say("psst")
        bob.expect(("carl", "psst"))
        assert service.DeleteChatRoom(room_id=room).room_id == room
        for person in (bob, carl):
            person.expect(CLOSING)
            person.call.expect_end()


def test_line_clients_find_a_room_by_the_name_that_it_was_given():
    with Server() as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        bob = Person(service, "bob", room)
        ann = server.join("ann")
        ann.say("/rooms")
        ann.expect("* 2 rooms:", "* lobby (1)")
        name = ann.expect(re.compile(r"\* (room#[0-9a-f]{6}) \(1\)")).group(1)
        ann.say(f"/join {name}")
        ann.expect(f"* You are in {name}, 2 here.")
        bob.expect(("ann", ENTERED))
        ann.say("/topic")
        ann.expect(f"* {name} has no topic; /topic TEXT sets one", re.compile(rf"\* {name} was made by rpc/ChatService on .+"))


def test_a_room_that_was_made_waits_for_its_first_guest():
    with Server() as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        for _ in range(3):
            fails("NOT_FOUND", service.DeleteChatRoom, room_id="0" * 20)
            assert room in rooms_of(service)
        Person(service, "ann", room)


def test_a_kept_room_is_there_after_everybody_left_and_the_server_was_restarted():
    with tempfile.TemporaryDirectory() as folder:
        journal = f"sqlite:{folder}/chat.db"
        with Server(journal=journal) as server:
            service = chatroom(server)
            room = service.CreateChatRoom().room_id
            secret = service.CreateChatRoom(private=True).room_id
            for place in (room, secret):
                ann = Person(service, "ann", place)
                bob = Person(service, "bob", place)
                ann.expect(("bob", ENTERED))
                ann.say(f"hello from {place}")
                bob.expect(("ann", f"hello from {place}"))
                bob.call.cancel()
                ann.expect(("bob", LEFT))
                ann.call.cancel()
                wait_for(lambda: server.log.find(r'left name="ann"', len(server.log.lines) - 1), "ann has left")
        with Server(journal=journal) as server:
            service = chatroom(server)
            assert room in rooms_of(service) and secret not in rooms_of(service)
            for name, place in (("carl", room), ("dora", secret)):
                guest = Person(service, name, place, comes=False)
                guest.expect(("ann", f"hello from {place}"), (name, ENTERED))
            assert service.DeleteChatRoom(room_id=room).room_id == room  # it is everybody's still
            assert room not in rooms_of(service)


def test_names_of_rooms_serve_as_ids():
    with Server() as server:
        service = chatroom(server)
        ann = server.join("ann")
        ann.say('/join "my tea"')
        ann.expect("* You are in my tea, 1 here.")
        bob = Person(service, "bob", "My Tea")
        ann.expect(came("bob"))
        bob.say("hello")
        ann.expect("bob: hello")


def test_unknown_rooms_are_not_found():
    with Server() as server:
        service = chatroom(server)
        for room in ("", "0" * 20, "nowhere", "\x01", "x" * 5000, "ünknown\n"):
            person = Person(service, "bob", room, comes=False)
            person.call.expect_end("NOT_FOUND", NO_ROOM)
        for first in (message("rpc.ChatMessage"), message("rpc.ChatMessage", message={"message": "hello"}),
                      message("rpc.ChatMessage", join={})):
            call = service.Chat()
            call.send_message(first)
            call.expect_end("NOT_FOUND", NO_ROOM)
        assert lobby_of(service)  # none was made


def test_a_room_of_two_strangers_is_nobody_elses():
    with Server() as server:
        service = chatroom(server)
        ann = server.join("ann")
        ann.say("/join")
        room = ann.expect(re.compile(r"\* You wait for a stranger in room ([0-9a-f]{20}); /leave gives up\.")).group(1)
        Person(service, "bob", room, comes=False).call.expect_end("NOT_FOUND", NO_ROOM)
        fails("NOT_FOUND", service.DeleteChatRoom, room_id=room, words="chat " + NO_ROOM)


def test_who_says_nothing_at_all_did_not_join():
    with Server() as server:
        call = chatroom(server).Chat()
        call.half_close()
        call.expect_end("INTERNAL", "Failed to read initial join request")


def test_who_does_not_join_in_time_is_told():
    with Server("--name-timeout", "1") as server:
        chatroom(server).Chat().expect_end("DEADLINE_EXCEEDED", "no join came within 1 s")


def test_nobody_makes_rooms_where_they_are_closed():
    with Server("--rooms", "closed") as server:
        service = chatroom(server)
        fails("PERMISSION_DENIED", service.CreateChatRoom, words="nobody may make rooms here")
        Person(service, "ann", lobby_of(service))


def test_there_are_no_more_rooms_than_allowed():
    with Server("--max-rooms", "3") as server:
        service = chatroom(server)
        made = [service.CreateChatRoom().room_id for _ in range(2)]
        fails("RESOURCE_EXHAUSTED", service.CreateChatRoom, words="there are 3 rooms, which is the most; try again later")
        service.DeleteChatRoom(room_id=made[0])
        service.CreateChatRoom()


def test_who_begins_late_and_was_taken_for_a_person_is_nobody_in_the_room():
    """The second line of what begins HTTP/2, SM, was a name."""
    with Server() as server:
        ann = server.join("ann")
        late = server.connect()
        late.expect(GREETING)
        late.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        late.expect_lost()
        ann.say("nobody came")
        ann.expect("ann: nobody came")
        # It comes back, as late as before. Once it was greeted each time, and so never came in.
        again = server.connect()
        wait_for(lambda: time.monotonic() - again.started > 0.5, "half a second")
        again.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert again.bytes(9)[3] == 4  # SETTINGS


# ---- Who may delete a room. ----

def basic(user, password):
    return (("authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()),)


def test_the_lobby_always_stays():
    with Server() as server:
        service = chatroom(server)
        fails("PERMISSION_DENIED", service.DeleteChatRoom, room_id=lobby_of(service),
              words="lobby always stays; nobody may close it")
        fails("PERMISSION_DENIED", service.DeleteChatRoom, room_id="LOBBY")


def test_who_made_a_room_and_told_who_it_is_deletes_it_and_nobody_else():
    mine, other = ("chat-session", "0123456789abcdef" * 2), ("chat-session", "f" * 32)
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        service = chatroom(server)
        rooms = [service.CreateChatRoom(metadata=(mine,)).room_id for _ in range(2)]
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id=rooms[0])
        fails("PERMISSION_DENIED", service.DeleteChatRoom, room_id=rooms[0], metadata=(other,))
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id=rooms[0], metadata=basic("ann", "guess"))
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id=rooms[0], metadata=(("authorization", "Bearer guess"),))
        server.log.wait("wrong password", count=2)
        assert service.DeleteChatRoom(room_id=rooms[0], metadata=(mine,)).room_id == rooms[0]
        assert service.DeleteChatRoom(room_id=rooms[1], metadata=basic("root", "secret")).room_id == rooms[1]
        ann = server.join("ann")
        ann.say("/new-room tea")
        ann.expect("* You are in tea, 1 here.")
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id="tea")
        fails("PERMISSION_DENIED", service.DeleteChatRoom, room_id="tea", metadata=(mine,))
        bob = Person(service, "bob", "tea")
        ann.expect(came("bob"))
        assert service.DeleteChatRoom(room_id="tea", metadata=(("authorization", "Bearer secret"),)).room_id
        bob.expect(CLOSING)
        bob.call.expect_end()
        ann.expect("chat server: chat room is closing")


def test_who_told_a_name_alone_leaves_its_room_to_administrators():
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        service = chatroom(server)
        room = service.CreateChatRoom(metadata=basic("ann", "")).room_id
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id=room)
        service.DeleteChatRoom(room_id=room, metadata=basic("root", "secret"))


def test_nobody_can_be_called_so_that_its_rooms_are_everybodys():
    """Rooms of everybody had a creator's name that a person could have, too."""
    with Server() as server:
        service = chatroom(server)
        ann = server.join("rpc.ChatService")
        ann.say("/new-room tea")
        ann.expect("* You are in tea, 1 here.")
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id="tea")
        room = service.CreateChatRoom(metadata=basic("rpc.ChatService", "")).room_id
        fails("UNAUTHENTICATED", service.DeleteChatRoom, room_id=room)
        room = service.CreateChatRoom(metadata=basic("rpc/ChatService", "")).room_id
        assert service.DeleteChatRoom(room_id=room).room_id == room  # that is no name: nobody has told who it is


def test_a_room_of_everybody_is_so_in_another_journal():
    with tempfile.TemporaryDirectory() as folder:
        old, new = f"sqlite:{folder}/old.db", f"sqlite:{folder}/new.db"
        with Server(journal=old) as server:
            room = chatroom(server).CreateChatRoom().room_id
            ann = Person(server, "ann", room)
            bob = Person(server, "bob", room)
            ann.say("hello")
            bob.expect(("ann", "hello"))
        for arguments in (("--check", f"{folder}/old.db"), ("--journal", old, "--export", f"{folder}/lines"),
                          ("--journal", new, "--import", f"{folder}/lines")):
            code, _, errors = run_server(*arguments)
            assert code == 0, errors
        with Server(journal=new) as server:
            assert chatroom(server).DeleteChatRoom(room_id=room).room_id == room


# ---- Names. ----

def test_a_name_that_is_none_is_refused():
    with Server() as server:
        service = chatroom(server)
        ann = server.join("ann")
        for name in (" ", "a/b", "x" * 51, "a\nb", "\u200b", "a\x1b[31m"):
            Person(service, name, comes=False).call.expect_end("INVALID_ARGUMENT", BAD_NAME)
        ann.say("nobody came")
        ann.expect("ann: nobody came")


def test_a_client_without_a_name_is_a_guest():
    with Server() as server:
        ann = server.join("ann")
        guest = Person(server, "", comes=False)
        name, text = guest.next()
        assert re.fullmatch("guest" + TAG, name) and text == ENTERED
        ann.expect(came(name))


def test_two_of_one_name_are_two():
    """Bug 1: the second one silenced the first, and when the first left, the second was thrown out."""
    with Server() as server:
        service = chatroom(server)
        one = Person(service, "ann")
        two = Person(service, "ANN", comes=False)
        name, text = two.next()
        assert re.fullmatch("ANN" + TAG, name) and text == ENTERED
        one.expect((name, ENTERED))
        third = Person(service, "carl")
        for person in (one, two):
            person.expect(("carl", ENTERED))
        one.say("I am one")
        for person in (two, third):
            person.expect(("ann", "I am one"))
        two.say("I am two")
        for person in (one, third):
            person.expect((name, "I am two"))
        one.call.cancel()
        for person in (two, third):
            person.expect(("ann", LEFT))
        two.say("still here")
        third.expect((name, "still here"))
        two.call.cancel()
        third.expect((name, LEFT))
        four = Person(service, "ann", comes=False)
        third.expect(("ann", ENTERED))
        four.say("the name was free")
        third.expect(("ann", "the name was free"))


# ---- Talking. ----

def test_who_comes_is_told_its_name_by_metadata():
    """By the answer's "chat-name", so that a client can show its own lines as the others see them."""
    with Server() as server:
        for wanted, given in (("bob", "bob"), ("bob", "bob#[0-9a-f]{6}"), ("", "guest#[0-9a-f]{6}"), ("Jörg", "J%C3%B6rg")):
            stream = chatroom(server).Chat()
            stream.send(join={"room_id": "lobby", "name": wanted})
            name = stream.metadata()["chat-name"]
            assert re.fullmatch(given, name), (wanted, name)


def test_everybody_but_the_author_gets_a_message():
    with Server() as server:
        ann, bob = Person(server, "ann"), Person(server, "bob")
        ann.expect(("bob", ENTERED))
        line = server.join("line")
        for person in (ann, bob):
            person.expect(("line", ENTERED))
        ann.say("hello")
        bob.expect(("ann", "hello"))
        line.expect("ann: hello")
        bob.say("hello, ann")
        ann.expect(("bob", "hello, ann"))
        line.expect("bob: hello, ann")
        line.say("hello, you two")
        for person in (ann, bob):
            person.expect(("line", "hello, you two"))
        line.expect("line: hello, you two")


def test_all_see_one_order():
    count = scaled(400)
    with Server() as server:
        watcher = join_events(server, "watcher")
        lines = [server.join(f"line{i}") for i in range(2)]
        people = [Person(server, f"person{i}") for i in range(3)]
        people[-1].say("everybody is here")
        for person in people[:-1]:
            while person.next() != (people[-1].name, "everybody is here"):
                pass
        watcher.until(kind="message", text="everybody is here")
        for client in lines:
            while client.line() != f"{people[-1].name}: everybody is here":
                pass
        for i in range(count):
            for person in people:
                person.say(f"{person.name} {i}")
            for j, client in enumerate(lines):
                client.say(f"line{j} {i}")
        events = []
        while len(events) < 5 * count:
            event = watcher.event()
            assert event["kind"] == "message", event
            events.append(event)
        assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))
        order = [(event["participant"], event["text"]) for event in events]
        for person in people:
            wanted = [pair for pair in order if pair[0] != person.name]
            assert [person.next() for _ in wanted] == wanted
            assert [text for name, text in order if name == person.name] == [f"{person.name} {i}" for i in range(count)]
        for client in lines:
            client.expect(*(f"{name}: {text}" for name, text in order))


def test_text_is_text_of_one_line_and_made_safe():
    with Server() as server:
        ann, line = Person(server, "ann"), server.join("line")
        ann.expect(("line", ENTERED))
        bob = Person(server, "bob")
        ann.expect(("bob", ENTERED))
        line.expect(came("bob"))
        for said, seen in (
                ("two\nlines\r\nand\rmore", "two\u2424lines\u2424and\u2424more"),
                ("\x1b[31mred\x07\x9b", "[31mred"),
                ("a\tb", "a\tb"),
                ("/quit", "/quit"),
                ("!exit", "!exit"),
                ("//me", "//me"),
                ("κόσμε 🎉", "κόσμε 🎉")):
            ann.say(said)
            bob.expect(("ann", seen))
            line.expect(f"ann: {seen}")


def test_what_says_nothing_is_dropped():
    with Server() as server:
        ann, bob = Person(server, "ann"), Person(server, "bob")
        ann.expect(("bob", ENTERED))
        ann.call.send()
        ann.call.send(join={"room_id": "nowhere", "name": "rob"})
        ann.call.send(message={"name": "ann"})
        ann.say("")
        ann.say("\x07")
        ann.say("hello")
        bob.expect(("ann", "hello"))


def test_who_joins_may_speak_in_the_same_message():
    with Server() as server:
        ann = Person(server, "ann")
        bob = Person(server, "bob", message={"message": "hello"})
        ann.expect(("bob", ENTERED), ("bob", "hello"))
        bob.say("again")
        ann.expect(("bob", "again"))


def test_what_the_others_do_is_told():
    with Server() as server:
        bob = Person(server, "bob")
        ann = server.join("ann")
        bob.expect(("ann", ENTERED))
        for line, *seen in (
                ("/me waves", ("ann", "~ waves")),
                ("/topic tea", (SERVER, 'User "ann" set the topic: tea')),
                ("/topic --clear", (SERVER, 'User "ann" removed the topic')),
                ("/nick Ann", (SERVER, 'User "ann" is now "Ann"')),
                ("/dm bob psst", ("Ann -> bob", "psst")),
                ("/join tea", ("Ann", LEFT)),
                ("/invite bob", (SERVER, re.compile("Ann invites you to tea; .*"))),
                ("/quit",)):
            ann.say(line)
            bob.expect(*seen)


def test_a_text_that_is_too_long_is_refused_and_the_call_goes_on():
    with Server() as server:
        ann, bob = Person(server, "ann"), Person(server, "bob")
        ann.expect(("bob", ENTERED))
        ann.say("x" * MAX_LINE)
        bob.expect(("ann", "x" * MAX_LINE))
        ann.say("x" * (MAX_LINE + 1))
        ann.expect((SERVER, f"line-too-long: a line may have {MAX_LINE} bytes when it is clean UTF-8; this one was dropped,"
                            " send it in parts"))
        ann.say("shorter")
        bob.expect(("ann", "shorter"))
        ann.say("x" * (MAX_LINE + 5000))
        ann.call.expect_end("RESOURCE_EXHAUSTED")
        bob.expect(("ann", LEFT))


# ---- History. ----

@on_each_journal
def test_who_comes_sees_the_last_nine_and_itself(journal):
    with Server(journal=journal) as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        ann = Person(service, "ann", room)
        bob = Person(service, "bob", room, comes=False)
        bob.expect(("bob", ENTERED))
        for i in range(12):
            ann.say(f"line {i}")
            bob.expect(("ann", f"line {i}"))
        ann.expect(("bob", ENTERED))
        bob.say("mine")
        ann.expect(("bob", "mine"))
        bob.call.cancel()
        ann.expect(("bob", LEFT))
        bob = Person(service, "bob", room, comes=False)
        bob.expect(*(("ann", f"line {i}") for i in range(4, 12)), ("bob", "mine"), ("bob", ENTERED))
        ann.expect(("bob", ENTERED))
        ann.say("now")
        bob.expect(("ann", "now"))


@on_each_journal
def test_between_history_and_what_is_said_now_nothing_is_lost_or_doubled(journal):
    """Bug 4: a message in the moment of joining could come twice."""
    with Server(journal=journal) as server:
        service = chatroom(server)
        ann = server.join("ann")
        stop = threading.Event()

        def write():
            said = 0
            while not stop.is_set():
                ann.say(str(said))
                while ann.line() != f"ann: {said}":
                    pass
                said += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for i in range(20):
                bob = Person(service, f"bob{i}", comes=False)
                got = []
                while len(got) < 30:
                    name, text = bob.next()
                    if name == "ann":
                        got.append(int(text))
                assert got == list(range(got[0], got[0] + 30)), got
                bob.call.cancel()
        finally:
            stop.set()
            writer.join()


# ---- Going. ----

def test_who_goes_has_left_however_it_goes():
    with Server() as server:
        ann = Person(server, "ann")
        line = server.join("line")
        ann.expect(("line", ENTERED))
        bob = Person(server, "bob")
        ann.expect(("bob", ENTERED))
        bob.call.cancel()
        ann.expect(("bob", LEFT))
        channel = Channel(server)
        bob = Person(channel.service("rpc.ChatService"), "bob")
        ann.expect(("bob", ENTERED))
        channel.close()
        ann.expect(("bob", LEFT))
        line.expect(came("bob"))
        line.expect(re.compile(re.escape(went("bob", "HOW")).replace("HOW", ".*")))


def test_who_closes_its_side_goes_on_reading():
    with Server() as server:
        ann, bob = Person(server, "ann"), Person(server, "bob")
        ann.expect(("bob", ENTERED))
        bob.say("the last word")
        bob.call.half_close()
        ann.expect(("bob", "the last word"))
        for i in range(100):
            ann.say(f"line {i}")
            bob.expect(("ann", f"line {i}"))
        line = server.join("line")
        bob.expect(("line", ENTERED))
        line.say("/who")
        line.expect("* 3 here: ann, bob, line")
        bob.call.cancel()
        ann.expect(("line", ENTERED), ("bob", LEFT))


def test_who_says_all_at_once_and_closes_its_side_is_heard():
    with Server() as server:
        ann = Person(server, "ann")
        bob = Person(server, "bob", comes=False)
        for i in range(50):
            bob.say(f"line {i}")
        bob.call.half_close()
        ann.expect(("bob", ENTERED), *(("bob", f"line {i}") for i in range(50)))
        bob.expect(("bob", ENTERED))


def test_a_deleted_room_ends_its_calls_and_sends_the_others_home():
    with Server() as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        ann, bob = Person(service, "ann", room), Person(service, "bob", room)
        ann.expect(("bob", ENTERED))
        line = server.join("line")
        line.say(f"/join {room}")
        line.expect(re.compile(r"\* You are in room#[0-9a-f]{6}, 3 here\."))
        for person in (ann, bob):
            person.expect(("line", ENTERED))
        bob.call.half_close()
        service.DeleteChatRoom(room_id=room)
        for person in (ann, bob):
            person.expect(CLOSING)
            person.call.expect_end()
        line.expect("chat server: chat room is closing", "* You are in lobby. /join finds a stranger, /rooms lists the rooms.")
        line.say("/who")
        line.expect("* 1 here: line")
        Person(service, "ann", room, comes=False).call.expect_end("NOT_FOUND", NO_ROOM)


@on_each_journal
def test_a_slow_reader_of_a_deleted_room_gets_all_that_was_said(journal):
    count, text = scaled(4000), "x" * 500
    with Server("--lag-memory", "64k", journal=journal) as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        slow = Person(server, "slow", room)
        line = server.join("line")
        line.say(f"/join {room} --history none")
        line.expect(re.compile(r"\* You are in .*, 2 here\."))
        say_all(line, [f"{i} {text}" for i in range(count)])
        service.DeleteChatRoom(room_id=room)
        line.expect("chat server: chat room is closing")
        slow.expect(("line", ENTERED))
        for i in range(count):
            slow.expect(("line", f"{i} {text}"))
        slow.expect(CLOSING)
        slow.call.expect_end()


def test_a_stopping_server_says_so_and_ends_the_calls():
    with Server() as server:
        ann, bob = Person(server, "ann"), Person(server, "bob")
        ann.expect(("bob", ENTERED))
        bob.call.half_close()
        ann.say("the last word")
        bob.expect(("ann", "the last word"))
        server.stop()
        for person in (ann, bob):
            assert person.rest() == [STOPPING]
            person.call.expect_end("UNAVAILABLE", "the server is stopping")


NOT_STORED = re.compile(r"not-stored: this could not be kept \(.*\), nobody saw it; .*")


def test_what_the_journal_cannot_keep_is_told_and_calls_go_on():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chat.db")
        with Server(journal="sqlite:" + path) as server:
            service = chatroom(server)
            room = service.CreateChatRoom().room_id
            ann, bob = Person(service, "ann", room), Person(service, "bob", room)
            ann.expect(("bob", ENTERED))
            os.rename(path, path + ".old")
            server.log.wait("journal-failed")
            ann.say("lost")
            ann.expect((SERVER, NOT_STORED))
            carl = Person(service, "carl", room, comes=False)
            carl.expect((SERVER, NOT_STORED))
            carl.call.expect_end("UNAVAILABLE", "nobody can be let in now; try again later")
            fails("UNAVAILABLE", service.DeleteChatRoom, room_id=room,
                  words="this could not be kept, and nothing was closed; try again later")
            os.rename(path + ".old", path)
            server.log.wait("journal-works-again")
            ann.say("kept")
            bob.expect(("ann", "kept"))
            assert service.DeleteChatRoom(room_id=room).room_id == room
            bob.expect(CLOSING)
            bob.call.expect_end()


# ---- Crowds, and the slow. ----

def test_rooms_are_made_and_listed_at_the_same_time():
    """Bug 2: that killed the server."""
    with Server() as server:
        wanted = scaled(200)
        made, seen = [], []

        def make():
            service = chatroom(server)
            for i in range(wanted):
                room = service.CreateChatRoom(private=i % 4 == 0).room_id
                if i % 2 == 0:
                    service.DeleteChatRoom(room_id=room)
                elif i % 4 != 0:
                    made.append(room)

        def look():
            service = chatroom(server)
            for _ in range(wanted):
                seen.append(len(rooms_of(service)))

        threads = [threading.Thread(target=run) for run in (make, look) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(seen) == 4 * wanted
        assert set(rooms_of(chatroom(server))) >= set(made) and len(set(made)) == len(made)


def test_joining_a_room_that_is_being_deleted_is_refused_or_ends_with_it():
    """Bug 4: that killed the server."""
    with Server() as server:
        service = chatroom(server)
        other = chatroom(server)
        for i in range(scaled(150)):
            room = service.CreateChatRoom().room_id
            people = [Person(other, f"bob{j}", room, comes=False) for j in range(3)]
            service.DeleteChatRoom(room_id=room)
            for person in people:
                seen = person.rest()  # another one that comes may be seen behind the last words
                if person.call.end != ("NOT_FOUND", NO_ROOM):
                    assert CLOSING in seen and person.call.end == ("OK", ""), (seen, person.call.end)
        server.assert_lives()


@on_each_journal
def test_a_slow_reader_stops_nobody_and_loses_nothing(journal):
    """Bug 3: a slow reader stalled the room for good."""
    count = scaled(20000)
    with Server("--lag-memory", "64k", journal=journal) as server:
        slow = Person(server, "slow")
        ann = server.join("ann")
        third = Person(server, "third")
        ann.expect(came("third"))
        texts = [f"line {i} " + "x" * 100 for i in range(count)]
        for i in range(0, count, 1000):
            say_all(ann, texts[i:i + 1000])
            third.expect(*(("ann", text) for text in texts[i:i + 1000]))
        slow.expect(("ann", ENTERED), ("third", ENTERED))
        for text in texts:
            slow.expect(("ann", text))
        third.say("done")
        slow.expect(("third", "done"))


def test_many_calls_of_one_connection_are_many_people():
    count = scaled(90)
    with Server() as server:
        service = chatroom(server)
        room = service.CreateChatRoom().room_id
        people = [Person(service, f"person{i}", room, comes=False) for i in range(count)]
        for person in people:  # all come at once, and any order is right
            while person.next() != (person.name, ENTERED):
                pass
        ann = Person(service, "ann", room)
        ann.say("hello")
        for person in people:
            while person.next() != ("ann", "hello"):
                pass
        server.assert_lives()


def test_calls_leave_nothing_behind():
    with Server() as server:
        service = chatroom(server)
        lobby_of(service)
        before = server.threads(), server.descriptors()
        for _ in range(3):
            people = [Person(service, f"person{i}", comes=False) for i in range(20)]
            for person in people:
                while person.next() != (person.name, ENTERED):
                    pass
            for person in people:
                person.call.cancel()
            wait_for(lambda: (server.threads(), server.descriptors()) == before, "the calls are gone")


# ---- TLS. ----

def test_all_works_through_tls():
    with Certificates() as certificates:
        pair = certificates.own("server")
        with Server(*options(pair), "--require-tls") as server:
            service = chatroom(server, certificate=pair[0])
            room = service.CreateChatRoom().room_id
            ann = Person(service, "ann", room)
            bob = Person(chatroom(server, certificate=pair[0]), "bob", room)
            ann.expect(("bob", ENTERED))
            for i in range(1000):
                ann.say(f"line {i}")
            bob.expect(*(("ann", f"line {i}") for i in range(1000)))
            bob.call.cancel()
            ann.expect(("bob", LEFT))
            service.DeleteChatRoom(room_id=room)
            ann.expect(CLOSING)
            ann.call.expect_end()
            carl = Person(service, "carl")
            server.stop()
            carl.expect(STOPPING)
            carl.call.expect_end("UNAVAILABLE", "the server is stopping")


def test_the_servers_own_certificate_serves():
    with tempfile.TemporaryDirectory() as folder, Server("--tls", "self", environment={"STATE_DIRECTORY": folder}) as server:
        ann = Person(chatroom(server, certificate=f"{folder}/chat-tls.pem"), "ann")
        bob = Person(server, "bob")  # in the clear, on the same port
        ann.expect(("bob", ENTERED))
        ann.say("hello")
        bob.expect(("ann", "hello"))


# ---- MessageService. ----

def history_of(server, **more):
    service = Channel(server, **more).service("MessageService")
    return [(said.username, said.message) for said in service.FindAll().data]


def test_an_empty_lobby_has_no_history():
    with Server() as server:
        assert history_of(server) == []
        server.join("ann")
        assert history_of(server) == []


@on_each_journal
def test_the_history_is_what_was_said_in_the_lobby_in_order(journal):
    with Server(journal=journal) as server:
        a, line = Person(server, "a"), server.join("line")
        a.expect(("line", ENTERED))
        a.say("b")
        line.expect("a: b")
        find_all = Channel(server).channel.unary_unary("/MessageService/FindAll")
        assert find_all(b"", timeout=DEADLINE) == bytes.fromhex("0a 06 0a 01 61 12 01 62")
        for text in ("/me waves", "/topic tea", "/nick Line", "κόσμε"):
            line.say(text)
        line.expect("~ line waves", 'User "line" set the topic: tea', 'User "line" is now "Line"', "Line: κόσμε")
        assert history_of(server) == [("a", "b"), ("line", "~ waves"), ("Line", "κόσμε")]
        assert GoChat(server).history == history_of(server)


def test_the_history_is_the_last_ten_thousand_messages():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        texts = [f"line {i}" for i in range(10050)]
        say_all(ann, texts)
        assert history_of(server) == [("ann", text) for text in texts[50:]]


@on_each_journal
def test_a_long_history_is_the_newest_that_a_client_takes(journal):
    """A bigger answer than 4 MiB is none: every newcomer got no history then."""
    with Server(journal=journal) as server:
        ann = server.join("ann")
        texts = [f"{i} " + "x" * 40000 for i in range(120)]
        for i in range(0, len(texts), 10):
            say_all(ann, texts[i:i + 10])
        history = history_of(server)
        assert history == [("ann", text) for text in texts[-len(history):]]
        assert 99 <= len(history) <= 100, len(history)


def test_a_history_that_nobody_reads_takes_little_memory():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        texts = [f"{i} " + "x" * 60000 for i in range(60)]
        for i in range(0, len(texts), 10):
            say_all(ann, texts[i:i + 10])
        assert len(history_of(server)) == 60
        before = server.memory()
        assert [history_of(server) for _ in range(20)] == [[("ann", text) for text in texts]] * 20
        assert server.memory() - before < 8 << 20, f"{before} bytes before, {server.memory()} now"
        calls = 50
        before, threads = server.memory(), server.threads()
        peer = Peer(server, window=0)
        for _ in range(calls):
            peer.call("/MessageService/FindAll").send(b"", end=True)
        wait_for(lambda: server.threads() >= threads + calls, "all calls are there")
        last = list(peer.calls.values())[-1]
        peer.h2.increment_flow_control_window(5 << 20, last.id)
        peer.flush()
        assert last.bytes() is not None and last.status() == (0, "")
        grown = (server.memory() - before) / calls
        assert grown < 800 << 10, f"{grown / 1024:.0f} KiB each"


if __name__ == "__main__":
    main()
