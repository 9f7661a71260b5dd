"""
The client through gRPC: against a server that has rpc.ChatService and nothing else, in the manner of Chatroom's, and against ours.

What goes for both is said once (on_both); the others in the room speak through Google's library.
"""

import contextlib
import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import threading

from kept import Cutter, Kept, Listener
from support import BUILD_KIND, DEADLINE, HOST, Fake, Filter, GoServer, Terminal, main, program, wait_for
from certificates import Certificates, options
from chatroom import SERVER, Chatroom, said_by
from grpc_client import Channel, message
from talk import Server

HINT = "Type and press Enter. /help lists the commands, !exit or Ctrl-D leaves."
CAME = r"Has (joined|entered) the chat"
PROMPT = r"(\[\S+\] )?You\(bob\)>"  # ours tells the room, too
HERE = rf"(\w+: {CAME}|\* You are in \S+, \d+ here\.)"  # a Chatroom server says the one, ours the other
CLOSING = "chat room is closing"
ID = r"[0-9a-f]{20}"


def on_both(test):
    """Runs a test with each server."""
    def run():
        for kind in (Chatroom, Server):
            with kind() as server:
                test(server)
    return run


class Guest:
    """Somebody else in a room."""

    def __init__(self, server, room, name="eve"):
        self.name = name
        self.stream = Channel(server).service("rpc.ChatService").Chat()
        self.stream.send(join={"room_id": room, "name": name})
        self.until(name, CAME)

    def say(self, text):
        self.stream.send(message={"message": text})

    def until(self, name, pattern):
        """Reads on until that comes; returns what came before it."""
        before = []
        while True:
            heard = self.stream.next()
            if heard.name == name and re.fullmatch(pattern, heard.message):
                return before
            before.append((heard.name, heard.message))


def service(server):
    return Channel(server).service("rpc.ChatService")


def make_room(server):
    return service(server).CreateChatRoom().room_id


def where(server):
    return f"{HOST}:{server.port}"


def client(server, *arguments, **more):
    return Filter("--grpc", *arguments, where(server), **more)


def run(server, *arguments, given=b"", **more):
    with client(server, *arguments, **more) as filter_:
        return filter_.end(given)


@contextlib.contextmanager
def joined(server, room, name="bob", **more):
    """At a terminal, in a room."""
    with Terminal("--grpc", "--room", room, "-username", name, where(server), **more) as terminal:
        terminal.wait(HERE)
        terminal.wait(PROMPT)
        yield terminal


def number_of(rows, room):
    """Our server has names for rooms, which stand before the ids."""
    return next(match[1] for row in rows if (match := re.fullmatch(rf"\[(\d+)\]: (\S+ \()?{room}\)?", row.rstrip())))


# ---- At a terminal. ----

@on_both
def test_the_whole_dialogue_at_a_terminal(server):
    room = make_room(server)
    eve = Guest(server, room)
    eve.say("is anybody here?")
    with Terminal("--grpc", where(server), width=100) as terminal:
        rows = terminal.wait(r"Pick a room: ?\Z")
        assert rows[0] == "Chat rooms:", rows
        terminal.keys(number_of(rows, room), "Enter")
        terminal.wait(r"Enter a Name Tag: ?\Z")
        terminal.keys("bob", "Enter")
        terminal.wait(HERE)
        terminal.wait(PROMPT)
        eve.until("bob", CAME)
        terminal.keys("here I am", "Enter")
        terminal.wait(rf"bob: here I am\n{PROMPT}")
        assert eve.until("bob", "here I am") == []
        eve.say("so you are, bob")
        terminal.wait(rf"eve: so you are, bob\n{PROMPT}")
        rows = terminal.rows("-J")
        start = next(number for number, row in enumerate(rows) if row.startswith("Joining room"))
        assert all(re.match(r"\d\d:\d\d ", row) for row in rows[start + 1:-1]), rows
        shown = [re.sub(HERE, "CAME", re.sub(r"\[\S+\] ", "", row)) for row in terminal.clock_free(rows[start + 1:])]
        assert "CAME" in shown[2:-3], shown
        assert [row for row in shown if not re.search("CAME|eve: " + CAME, row)] == [
            HINT, f"Connected to {where(server)}(protocol: grpc)!", "eve: is anybody here?", "bob: here I am", "eve: so you are, bob",
            "You(bob)>"], shown
        terminal.keys("!exit", "Enter")
        assert terminal.ended() == 0
        assert eve.until("bob", "Has left the chat") == []


@on_both
def test_room_and_name_that_are_given_are_not_asked_for(server):
    room = make_room(server)
    eve = Guest(server, room)
    with joined(server, room) as terminal:
        assert "Pick" not in "\n".join(terminal.rows()) and "Joining" not in "\n".join(terminal.rows())
        terminal.keys("/quit", "Enter")
        assert terminal.ended() == 0
    assert [name for name, _ in eve.until("bob", "Has left the chat")] == ["bob"]


@on_both
def test_a_deleted_room_is_told_at_a_terminal(server):
    room = make_room(server)
    with joined(server, room) as terminal:
        terminal.type("half a li")
        service(server).DeleteChatRoom(room_id=room)
        assert terminal.ended() == 1
        shown = terminal.clock_free(terminal.rows("-J"))
        assert shown[-3].endswith(CLOSING) and shown[-2] == "It is over: the room was deleted.", shown


@on_both
def test_an_unknown_room_is_told_at_a_terminal(server):
    with Terminal("--grpc", "--room", "nowhere", "-username", "bob", where(server)) as terminal:
        terminal.wait(r"It is over: the server says: room ID does not exist \(NOT_FOUND\)")
        assert terminal.ended() == 1


@on_both
def test_commands_of_the_client_work(server):
    room = make_room(server)
    eve = Guest(server, room)
    with joined(server, room) as terminal:
        eve.say("spam")
        terminal.wait("eve: spam")
        terminal.keys("/ignore eve", "Enter")
        terminal.wait("[Ii]gnor")
        eve.say("more spam")
        adam = Guest(server, room, "adam")
        adam.say("ham")
        terminal.wait("adam: ham")
        assert "more spam" not in "\n".join(terminal.rows())
        terminal.keys("/find spam", "Enter")
        terminal.wait(r"\(found: 1\)")
        terminal.keys("!exit", "Enter")
        assert terminal.ended() == 0


def test_a_server_that_comes_back_is_talked_to_again():
    with tempfile.TemporaryDirectory() as folder:
        journal = f"sqlite:{folder}/chat.db"
        with Server(journal=journal) as server:
            room, port = make_room(server), server.port
            terminal = Terminal("--grpc", "--room", room, "-username", "bob", where(server))
            with contextlib.ExitStack() as stack:
                stack.enter_context(terminal)
                terminal.wait(HERE)
                terminal.wait(PROMPT)
                terminal.keys("I am here", "Enter")
                terminal.wait(r"bob: I am here" rf"\n{PROMPT}")
                server.stop()
                terminal.wait(r"is gone: .*Connecting again")
                terminal.keys("are you back?", "Enter")
                terminal.wait(r"\(waits for the server\) are you back\?")
                with Server(listen=(f"{HOST}:{port}",), journal=journal) as again:
                    terminal.wait(r"bob: are you back\?" rf"\n{PROMPT}")
                    eve = Guest(again, room)
                    terminal.wait('User "eve" just joined')
                    eve.say("yes")
                    terminal.wait("eve: yes")
                    terminal.keys("C-d")
                    assert terminal.ended() == 0


def test_a_room_that_went_with_its_server_is_told():
    with contextlib.ExitStack() as stack:
        with Chatroom() as server:
            room, port = make_room(server), server.port
            terminal = stack.enter_context(Terminal("--grpc", "--room", room, "-username", "bob", where(server)))
            terminal.wait(f"bob: {CAME}")
        terminal.wait(r"is gone: .*Connecting again")
        with Chatroom(port=port):
            assert terminal.ended() == 1
            terminal.wait(r"It is over: the server says: room ID does not exist")


# ---- In events, as our server has them. ----

def enter(terminal, text):
    terminal.type(text)
    terminal.keys("Enter")


def test_what_is_said_over_a_line_that_breaks_is_said_and_shown_once():
    count = 60 if BUILD_KIND == "plain" else 20
    with Kept() as kept:
        ear = Listener(kept.port)
        cutter = Cutter(kept.port, 7, 6000 if BUILD_KIND == "plain" else 2500)
        cutter.cuts = False
        with Terminal("--grpc", "--room", "lobby", "-username", "bob", f"{HOST}:{cutter.port}", width=100) as terminal:
            terminal.wait(PROMPT)
            cutter.cuts = True
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


def test_what_was_missed_comes_once_and_nothing_again():
    with Kept() as kept, Terminal("--grpc", "--room", "tea", "-username", "bob", kept.address, width=100) as terminal:
        terminal.wait(r"room ID does not exist \(NOT_FOUND\)")  # nobody has made it: it has to be one of the list
        assert terminal.ended() == 1
        ann = kept.server.join("ann")
        ann.say("/join tea")
        ann.say("before")
        wait_for(lambda: [room.last for room in Channel(kept.server).service("tcpchat.v1.Chat").ListRooms().rooms if room.name == "tea"] == [2], "tea")
        with Terminal("--grpc", "--room", "tea", "-username", "bob", kept.address, width=100) as again:
            again.wait("ann: before")
            kept.kill()
            again.wait("is gone: .*Connecting again")
            enter(again, "meanwhile")
            kept.start()
            again.wait("bob: meanwhile")
            rows = "\n".join(again.history())
            assert rows.count("ann: before") == 1 and rows.count("bob: meanwhile") == 1, rows


def test_all_commands_work():
    with Server() as server:
        ann = server.join("ann")
        with Terminal("--grpc", "--room", "lobby", "-username", "bob", where(server), width=100) as terminal:
            terminal.wait(PROMPT)
            ann.expect('User "bob" just joined the chat!')
            for typed, heard in (("/dm ann psst", "[dm from bob] psst"), ("/me waves", "~ bob waves"), ("//x", "bob: /x"),
                                 ("/topic green", 'User "bob" set the topic: green'), ("/topic --clear", 'User "bob" removed the topic')):
                enter(terminal, typed)
                assert heard in (line := ann.line()) or "dm" in typed and "psst" in line, (typed, line)
            enter(terminal, "/serach x")
            terminal.wait("did you mean /search")
            enter(terminal, "/frobnicate")
            terminal.wait("unknown-command: there is no command /frobnicate")
            enter(terminal, "/nick rob")
            terminal.wait(r"You\(rob\)>")
            enter(terminal, "/quit")
            assert terminal.ended() == 0
        ann.expect('User "bob" is now "rob"', 'User "rob" just left the chat (normally)')


def test_who_is_in_another_room_too_goes_on_when_the_first_is_deleted():
    with Server() as server:
        room = make_room(server)
        eve = Guest(server, room)
        with joined(server, room) as terminal:
            enter(terminal, "/join milk")
            terminal.wait(r"\[milk\] You\(bob\)>")
            service(server).DeleteChatRoom(room_id=room)
            eve.until(SERVER, CLOSING)
            enter(terminal, "still here")
            terminal.wait(r"bob: still here\n\[milk\] You\(bob\)>")
            terminal.keys("C-d")
            assert terminal.ended() == 0


def test_a_name_that_is_taken_is_told_at_a_terminal():
    with Server() as server:
        server.join("bob")
        with Terminal("--grpc", "--room", "lobby", "-username", "bob", where(server)) as terminal:
            terminal.wait(r"Somebody here is bob already: you are (bob#[0-9a-f]{6})\.")
            terminal.wait(r"You\(bob#[0-9a-f]{6}\)>")
            enter(terminal, "hi")
            terminal.wait(r"bob#[0-9a-f]{6}: hi")


def test_a_name_that_is_taken_is_that_of_the_echo_in_a_pipe():
    """Lines had the name that was asked for, which is somebody else's."""
    with Server() as server:
        bob = server.join("bob")
        code, lines, errors = run(server, "--room", "lobby", "--username", "bob", given=b"hi\n")
        name = re.match("bob#[0-9a-f]{6}", lines[-1])
        assert (code, errors) == (0, "") and name and lines[-1] == f"{name[0]}: hi", (code, lines, errors)
        bob.expect(f'User "{name[0]}" just joined the chat!', f"{name[0]}: hi")


def test_a_pipe_that_is_plain_says_all_and_ends():
    with Server() as server:
        for room in ("lobby", make_room(server)):
            eve = Guest(server, room, "eve" if room == "lobby" else "adam")
            code, lines, errors = run(server, "--room", room, "--username", "bob", "--plain", given=b"one\n\n/me waves\ntwo\n")
            assert (code, errors) == (0, "") and lines[-1].endswith("bob: two"), (code, lines, errors)
            heard = [text for name, text in eve.until("bob", "Has left the chat") if name == "bob"]
            assert heard[1:] == ["one", "~ waves", "two"], heard
        code, lines, errors = run(server, "--room", "lobby", "--username", "a*b", "--plain", given=b"one\n")
        assert (code, errors) == (1, "tcpclient: the server refuses the name: a*b\n"), (code, errors)


def test_continue_sends_what_was_not_sent():
    with Kept() as kept, tempfile.TemporaryDirectory() as state:
        arguments = ("--grpc", "--room", "lobby", "-username", "bob", kept.address)
        with Terminal(*arguments, environment={"XDG_STATE_HOME": state}) as terminal:
            terminal.wait(PROMPT)
            kept.kill()
            terminal.wait("is gone")
            enter(terminal, "kept for later")
            terminal.wait(r"\(waits for the server\) kept for later")
            terminal.keys("C-d")
            assert terminal.ended() == 0
        kept.start()
        with Terminal("--continue", *arguments, environment={"XDG_STATE_HOME": state}) as terminal:
            terminal.wait("lines of the last time that are sent now: 1")
            terminal.wait("bob: kept for later")


def test_a_server_that_is_down_is_waited_for():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
    with Terminal("--grpc", f"{HOST}:{port}", width=100) as terminal:
        terminal.wait(rf"Error while connecting {HOST}:{port}\(protocol: grpc\): Connection refused\. Is the server running\? Trying again")
        with Server(listen=(f"{HOST}:{port}",)):
            rows = terminal.wait(r"Pick a room: ?\Z")
            assert any(re.fullmatch(rf"\[1\]: lobby \({ID}\)", row.rstrip()) for row in rows), rows
            terminal.keys("C-d")
            assert terminal.ended() == 1
    for arguments in (["--list"], ["--create"], ["--delete", "x"]):
        done = subprocess.run([program("TCPCLIENT"), "--grpc", *arguments, f"{HOST}:{port}"], capture_output=True, text=True, timeout=DEADLINE,
                              check=False)
        assert done.returncode == 1 and "cannot connect to" in done.stderr, done


@on_both
def test_a_person_is_asked_again(server):
    room = make_room(server)
    with Terminal("--grpc", where(server), environment={"USER": "carol"}) as terminal:
        rows = terminal.wait(r"Pick a room: ?\Z")
        terminal.keys("x", "Enter")
        terminal.wait(r"Pick a room: x\nPick a room: ?\Z")
        terminal.keys(number_of(rows, room), "Enter")
        terminal.wait("Enter a Name Tag: ?\Z")
        terminal.keys("/who", "Enter")
        terminal.wait(r"Enter a Name Tag: /who\nEnter a Name Tag: ?\Z")
        terminal.keys("Enter")
        terminal.wait("You are carol\nJoining room")
        terminal.wait(r"You\(carol\)>")
    with Terminal("--grpc", where(server)) as terminal:
        for _ in range(3):
            terminal.wait(r"Pick a room: ?\Z")
            terminal.keys("99", "Enter")
        assert terminal.ended() == 1
        assert "must select a room that exists" in (terminal.path / "errors").read_text()


# ---- A server without commands. ----

def test_commands_are_not_said_to_a_server_without_them():
    """A message for one alone was said to all."""
    with Chatroom() as server:
        room = make_room(server)
        eve = Guest(server, room)
        with joined(server, room, width=120) as terminal:
            for typed in ("/dm eve my secret", "/nick x", "/"):
                enter(terminal, typed)
                terminal.wait(re.escape(f"this server has no commands, and this was not sent; /{typed} says it as text"))
            enter(terminal, "/help")
            terminal.wait(r"/save FILE - [\s\S]*/quit - leaves the chat; so does !exit\.")
            enter(terminal, "//dm is text")
            terminal.wait("bob: /dm is text")
            enter(terminal, "/quit")
            assert terminal.ended() == 0
        assert [text for name, text in eve.until("bob", "Has left the chat") if name == "bob"][1:] == ["/dm is text"]


@on_both
def test_commands_are_not_said_from_a_pipe(server):
    room = make_room(server)
    eve = Guest(server, room)
    code, lines, errors = run(server, "--room", room, "--username", "bob", given=b"one\n/dm eve secret\n//two\n")
    assert code == 1 and errors == ("tcpclient: line 2 of the input begins with / and was not sent: here are no commands; //x says /x\n"), errors
    assert lines[-2:] == ["bob: one", "bob: /two"], lines
    assert [text for name, text in eve.until("bob", "Has left the chat") if name == "bob"][1:] == ["one", "/two"]


# ---- In a pipe. ----

@on_both
def test_answers_and_lines_come_from_a_pipe(server):
    room = make_room(server)
    eve = Guest(server, room)
    offered = run(server, given=b"0\n")[1]
    number = number_of(offered, room)
    code, lines, errors = run(server, given=f"{number}\n  bob \r\nhello\r\n\nthe end".encode())
    assert (code, errors) == (0, ""), (code, errors)
    assert lines[0] == "Chat rooms:" and lines[int(number)] == offered[int(number)], lines
    assert "Pick a room: Enter a Name Tag: Joining room" in lines, lines
    assert lines[-3:] == ["bob: hello", "bob: ", "bob: the end"], lines
    heard = eve.until("bob", "Has left the chat")
    assert [text for name, text in heard if name == "bob" and text != ""][1:] == ["hello", "the end"], heard


@on_both
def test_without_questions_only_lines_are_printed(server):
    room = make_room(server)
    eve = Guest(server, room)  # a journal in memory forgets a room that nobody is in
    code, lines, errors = run(server, "--room", room, "--username", "bob", given=b"one\ntwo\n")
    assert (code, errors, lines[-2:]) == (0, "", ["bob: one", "bob: two"]) and re.fullmatch(f"bob: {CAME}", lines[-3]), (lines, errors)
    eve.until("bob", "Has left the chat")
    code, lines, errors = run(server, "--room", room, "--username", "bob", "--plain", "-c", "three")
    assert code == 0 and errors == "", (code, lines, errors)
    assert lines[0] == f"Connected to {where(server)}(protocol: grpc)!" and re.fullmatch(r"(\[\S+\] )?bob: three", lines[-1]), lines


@on_both
def test_all_of_many_lines_are_said_in_order(server):
    room = make_room(server)
    eve = Guest(server, room)
    texts = [f"line {number} {'x' * (number % 300)}" for number in range(2000)]
    with client(server, "--room", room, "--username", "bob") as pipe:
        pipe.give("".join(text + "\n" for text in texts).encode())
        if isinstance(server, Server):
            pipe.no_more()  # ours drops nothing of what it got; the others cannot tell when they are done with it
            heard = eve.until("bob", "Has left the chat")
        else:
            heard = eve.until("bob", re.escape(texts[-1])) + [("bob", texts[-1])]
        code, lines, errors = pipe.end()
    assert (code, errors) == (0, ""), (code, errors)
    assert [text for name, text in heard if name == "bob"][1:] == texts
    assert lines[-2000:] == [f"bob: {text}" for text in texts]


@on_both
def test_without_input_it_listens_until_the_room_is_deleted(server):
    room = make_room(server)
    with client(server, "--room", room, "--username", "log", stdin=subprocess.DEVNULL) as log:
        eve = Guest(server, room)
        eve.say("hello")
        wait_for(lambda: b"eve: hello\n" in os.pread(log.output.fileno(), 65536, 0), "the line in the log")
        service(server).DeleteChatRoom(room_id=room)
        code, lines, errors = log.end()
    assert (code, errors) == (0, "tcpclient: the room was deleted\n"), (code, errors)
    assert lines[-1] == f"{SERVER}: {CLOSING}", lines


@on_both
def test_a_room_that_is_deleted_before_the_input_ends_is_an_error(server):
    room = make_room(server)
    with client(server, "--room", room, "--username", "bob") as pipe:
        pipe.give(b"hello\n")
        wait_for(lambda: b"bob: hello\n" in os.pread(pipe.output.fileno(), 65536, 0), "the line")
        service(server).DeleteChatRoom(room_id=room)
        pipe.process.wait(DEADLINE)
        code, _, errors = pipe.end()
    assert code == 1 and "tcpclient: the connection ended before the input did (the room was deleted)" in errors, (code, errors)


@on_both
def test_nothing_is_said_to_an_unknown_room(server):
    code, lines, errors = run(server, "--room", "nowhere", "--username", "bob", given=b"hello\n")
    assert (code, lines, errors) == (1, [], "tcpclient: the server says: room ID does not exist (NOT_FOUND)\n"), (code, lines, errors)


@on_both
def test_a_wrong_pick_is_an_error(server):
    make_room(server)
    for answer, error in (("x", "must input a number"), ("", "must input a number"), ("1x", "must input a number"),
                          ("-", "must input a number"), ("0", "must select a room that exists"), ("99", "must select a room that exists"),
                          ("-1", "must select a room that exists"), ("9" * 40, "must select a room that exists"),
                          ("1" * 100_000, "must select a room that exists")):
        code, lines, errors = run(server, given=f"{answer}\nbob\nhello\n".encode())
        assert (code, errors, lines[-1:]) == (1, f"error: {error}\n", lines[-1:]), (answer, code, errors)
        assert lines[0] == "Chat rooms:", lines


@on_both
def test_an_input_that_ends_at_a_question_ends_the_program(server):
    make_room(server)
    for given in (b"", b"1\n"):
        code, lines, errors = run(server, given=given)
        assert (code, errors) == (1, "tcpclient: the input has ended before that was answered\n"), (code, errors)
        assert lines[-1].endswith(": "), lines
    with Terminal("--grpc", where(server)) as terminal:
        terminal.wait("Pick a room:")
        terminal.keys("C-d")
        assert terminal.ended() == 1


@on_both
def test_a_name_that_is_none_is_an_error(server):
    make_room(server)
    code, _, errors = run(server, given=b"1\n/who\nhello\n")
    assert code == 1 and errors.startswith("error: a name does not start with '/'"), (code, errors)


@on_both
def test_whoever_gives_no_name_is_the_user(server):
    room = make_room(server)
    code, lines, _ = run(server, "--room", room, given=b"\nhello\n", environment={"USER": "carol"})
    assert code == 0 and lines[-1] == "carol: hello", lines


# ---- Rooms. ----

@on_both
def test_rooms_are_made_listed_and_deleted(server):
    before = run(server, "--list")[1]
    code, lines, errors = run(server, "--create")
    assert (code, errors, len(lines)) == (0, "", 1) and re.fullmatch(f"Chat room created: {ID}", lines[0]), (code, lines, errors)
    room = lines[0].split()[-1]
    assert run(server, "--list") == (0, before + [room], "")
    assert run(server, "--delete", room) == (0, [f"Chat room deleted: {room}"], "")
    assert run(server, "--list") == (0, before, "")
    assert run(server, "--delete", room) == (1, [], "tcpclient: the server refuses: chat room ID does not exist (NOT_FOUND)\n")


def test_a_private_room_is_asked_for():
    with Chatroom() as server:
        assert run(server, "--create", "--private")[0] == 0 and run(server, "--create")[0] == 0
        assert server.asked == [True, False], server.asked
    with Server() as server:
        before = run(server, "--list")
        assert before[0] == 0 and before[2] == "", before
        room = run(server, "--create", "--private")[1][0].split()[-1]
        assert run(server, "--list") == before
        assert run(server, "--room", room, "--username", "bob", given=b"psst\n")[1][-1] == "bob: psst"


def test_a_server_without_rooms_is_told():
    with Chatroom() as server:
        assert run(server, given=b"1\n") == (1, ["Chat rooms:"], "tcpclient: there is no room; --create makes one\n")
        assert run(server, "--list") == (0, [], "")


def test_the_lobby_is_a_room_too():
    with Server() as server:
        ann = server.join("ann")
        code, lines, errors = run(server, "--room", "lobby", "--username", "bob", given=b"hello from afar\n")
        assert (code, errors) == (0, "") and lines[-1] == "bob: hello from afar", (lines, errors)
        assert "bob: hello from afar" in ann.line() + ann.line() + ann.line()


# ---- What is wrong with the server. ----

def fault_of(address, *arguments):
    with Filter("--grpc", *arguments, address) as filter_:
        code, lines, errors = filter_.end(b"1\n")
    assert code == 1 and lines == [] and errors.count("\n") == 1 and errors.startswith("tcpclient: "), (code, lines, errors)
    return errors


def test_a_server_that_is_not_there_is_a_plain_error():
    with socket.create_server((HOST, 0)) as free:
        address = f"{HOST}:{free.getsockname()[1]}"
    for arguments in ((), ("--list",), ("--create",), ("--delete", "x"), ("--room", "x", "--username", "bob")):
        assert f"cannot connect to {HOST} port {address.split(':')[1]}: Connection refused" in fault_of(address, *arguments)
    assert "there is no such host" in fault_of("no-such-host.invalid", "--list")


def test_a_server_that_speaks_something_else_is_told():
    answers = (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"* Welcome to tcpchat: type your name\n",
               b"\x15\x03\x01\x00\x02\x02\x46")  # an alert of TLS
    for answer in answers:
        for arguments in (("--list",), ("--room", "x", "--username", "bob")):
            with Fake() as server:
                def serve():
                    peer = server.accept()
                    peer.raw(answer + b"x" * 64)
                    peer.close()
                thread = threading.Thread(target=serve)
                thread.start()
                fault = fault_of(server.address, *arguments)
                assert "does not speak gRPC" in fault, (answer, fault)
                thread.join()


def test_a_server_that_never_answers_is_given_up():
    with Fake() as server:
        assert "no answer within 10 seconds" in fault_of(server.address, "--list")


def test_a_service_that_is_missing_is_told():
    library = Chatroom().grpc
    with Chatroom() as server:
        other = library.server(server.server._state.thread_pool)
        port = other.add_insecure_port(f"{HOST}:0")
        other.start()
        assert "UNIMPLEMENTED" in fault_of(f"{HOST}:{port}", "--list")
        other.stop(None).wait(DEADLINE)


def test_a_call_that_fails_for_a_while_is_made_again():
    calls = []

    def chat(requests, context):
        name = next(requests).join.name
        calls.append(name)
        if len(calls) == 1:
            context.abort(server.grpc.StatusCode.UNAVAILABLE, "come \x1b[31mback\nlater %")
        yield said_by(name, "Has joined the chat")
        for request in requests:
            yield said_by("echo", request.message.message)

    with Chatroom(chat=chat) as server, Terminal("--grpc", "--room", "x", "-username", "bob", where(server), width=200) as terminal:
        terminal.wait(r"is gone: the server says: come \S*back.*later % \(UNAVAILABLE\)\. Connecting again")
        terminal.wait("bob: Has joined")
        terminal.keys("hi", "Enter")
        terminal.wait(r"echo: hi")
        assert "\x1b[31m" not in "\n".join(terminal.rows("-e"))
        terminal.keys("C-d")
        assert terminal.ended() == 0


# ---- A server that takes nothing, or answers without end. ----

SETTINGS, PING, HEADERS, DATA, ACK, END_HEADERS, END_STREAM = 4, 6, 1, 0, 1, 4, 1


def frame(kind, flags, stream, content=b""):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


class Wire:
    """A server that the test plays frame by frame: it has taken the call, and let bob in."""

    def __init__(self, server, settings=b""):
        self.socket = server.accept().connection
        self.socket.settimeout(DEADLINE)
        self.taken = b""
        while not self.taken.endswith(b"\x0a\x01x\x12\x03bob"):  # the request, and who joins what
            assert self.read() != b"", self.taken
        self.send(frame(SETTINGS, 0, 0, settings), frame(SETTINGS, ACK, 0),
                  frame(HEADERS, END_HEADERS, 1, b"\x88\x00\x0ccontent-type\x10application/grpc"),
                  frame(DATA, 0, 1, b"\0\0\0\0\x05\x0a\x03bob"))

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def read(self):
        got = self.socket.recv(4096)
        self.taken += got
        return got

    def pinged(self):
        """Reads until the client asks whether all has come; returns its question."""
        while (ping := re.search(rb"\x00\x00\x08\x06\x00\x00\x00\x00\x00(.{8})", self.taken, re.S)) is None:
            assert self.read() != b"", self.taken
        return ping[1]

    def queues(self):
        """Of the client's end: the bytes that it could not send, and those that it has not read."""
        ours, theirs = (f"0100007F:{end[1]:04X}" for end in (self.socket.getsockname(), self.socket.getpeername()))
        for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
            if line.split()[1:3] == [theirs, ours]:
                return tuple(int(part, 16) for part in line.split()[4].split(":"))
        raise AssertionError("the client has gone")

    def clog(self):
        """Asks for answers, and reads none, until the client cannot send any more."""
        unsent = [0]
        while unsent[-1] == 0 or unsent[-3:] != unsent[-1:] * 3:
            self.send(frame(PING, 0, 0, b"12345678") * 200)  # of a thousand that wait to be answered it would complain
            while self.queues()[1] > 0:
                pass
            unsent.append(self.queues()[0])


def test_who_has_left_does_not_wait_for_a_server_to_take_the_answers_to_it():
    """The client went round and round without waiting, for ever."""
    with Fake() as server:
        server.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with Filter("--grpc", "--room", "x", "--username", "bob", server.address) as filter_:
            filter_.give(b"hi\n")
            filter_.no_more()
            wire = Wire(server)
            wire.send(frame(PING, ACK, 0, wire.pinged()))
            wire.clog()
            code, lines, errors = filter_.end()
            assert (code, lines, errors) == (0, ["bob: ", "bob: hi"], ""), (code, lines, errors)


def test_a_server_that_takes_nothing_more_is_given_up():
    """It waited for ever, as long as the connection was there."""
    narrow = struct.pack(">HI", 4, 20)  # bytes that a stream may send
    with Fake() as server, Filter("--grpc", "--room", "x", "--username", "bob", server.address) as filter_:
        filter_.give(b"one\n" + b"two\n" * 10)
        filter_.no_more()
        wire = Wire(server, narrow)
        wire.socket.settimeout(2 * DEADLINE)
        while wire.read() != b"":
            pass
        code, lines, errors = filter_.end()
        assert code == 1 and lines == ["bob: "], (code, lines)
        assert errors == ("tcpclient: the connection ended before all was said (the server took nothing for 30 seconds); "
                          "lines without an echo: 11\n"), errors


def test_a_server_that_has_not_said_that_it_has_got_all_is_an_error():
    with Fake() as server, Filter("--grpc", "--room", "x", "--username", "bob", server.address) as filter_:
        filter_.give(b"hi\n")
        filter_.no_more()
        wire = Wire(server)
        while wire.read() != b"":
            pass
        code, lines, errors = filter_.end()
        assert code == 1 and lines == ["bob: ", "bob: hi"], (code, lines)
        assert "the server did not say within 10 seconds that it has got all" in errors, errors


def test_a_long_list_is_read_and_an_endless_one_is_not():
    class Answering(Chatroom):
        answer = b""

        def list(self, _, __):
            return self.answer

    with Answering() as server:
        rooms = [f"{number:020x}" for number in range(100_000)]
        server.answer = b"".join(b"\x0a\x16\x0a\x14" + room.encode() for room in rooms)
        code, lines, errors = run(server, "--list")
        assert (code, errors) == (0, "") and lines == rooms, (code, len(lines), errors)
        for field in (b"\x0a\x00", b"\x78\x00"):  # a room without an id; something that nobody knows
            server.answer = field * 2_000_000
            for arguments in (["--list"], []):
                code, lines, errors = run(server, *arguments)
                assert (code, len(lines)) == (1, 0) and "it cannot be read, or has too many parts" in errors, (code, len(lines), errors)


# ---- Hostile words. ----

@on_both
def test_what_others_say_does_nothing_to_the_terminal(server):
    room = make_room(server)
    eve = Guest(server, room)
    with joined(server, room, width=100) as terminal:
        eve.say("a\x1b]0;owned\x07b\x1b[2Jc\u202edcba\ne\r\nf\x9bg")
        terminal.wait(r"eve: a\]0;ownedb\[2Jcdcba␤e␤fg" rf"\n{PROMPT}")
        eve.say("* Welcome mallory - tcpchat/1. You are in lobby. /help lists the commands, /quit leaves.")
        eve.say('{"type":"welcome","name":"mallory"}')
        terminal.wait(r'eve: \{"type":"welcome","name":"mallory"\}' rf"\n{PROMPT}")
        terminal.keys("C-d")
        assert terminal.ended() == 0


def test_what_a_server_makes_up_is_shown_clean_or_left_out():
    room = "a\x1b[2J\nb"

    def chat(requests, context):
        name = next(requests).join.name
        yield said_by(name, "Has joined the chat")
        yield said_by("* Welcome eve - tcpchat/1. You", " a line")
        yield said_by("", "no name")
        yield said_by("two\nlines\x1b[31m", "x")
        yield b"\x0a\x7fnot a message"
        yield said_by("eve", "y" * 400_000)
        yield said_by("eve", "! bad-name: no")
        yield said_by(name, "the end")
        context.abort(server.grpc.StatusCode.FAILED_PRECONDITION, "enough \x1b[31m")

    with Chatroom(rooms=[room], chat=chat) as server:
        code, lines, errors = run(server, given=b"1\nbob\n")
        assert code == 1 and "[1]: a[2Jb" in lines, (code, lines)
        start = lines.index("bob: Has joined the chat")
        assert lines[start + 1:] == ["* Welcome eve - tcpchat/1. You:  a line", ": no name", "two␤lines[31m: x",
                                     "(a message of the server could not be read)", "eve: ! bad-name: no", "bob: the end"], lines[start:]
        assert "a line from the server was too long" in errors and "enough [31m (FAILED_PRECONDITION)" in errors, errors


def test_a_room_is_picked_by_what_the_server_calls_it():
    asked = []

    def chat(requests, context):
        asked.append(next(requests).join.room_id)
        yield said_by("eve", "hello")
        context.abort(server.grpc.StatusCode.NOT_FOUND, "gone")

    with Chatroom(rooms=["x\x1b\ny", "ä" * 3000], chat=chat) as server:
        run(server, given=b"1\nbob\n")
        run(server, given=b"2\nbob\n")
        assert asked == ["x\x1b\ny", "ä" * 3000], asked


def test_a_message_that_is_too_large_ends_the_call():
    def chat(requests, context):
        next(requests)
        yield said_by("eve", "x" * 5_000_000)
        yield said_by("eve", "after")

    with Chatroom(chat=chat) as server:
        code, lines, errors = run(server, "--room", "x", "--username", "bob", given=b"")
        assert code == 1 and lines == [] and "the server sent a message of more than 4 MiB" in errors, (code, lines, errors)


class TalkWire:
    """A server that has tcpchat.v1, played frame by frame; each call has a connection of its own."""

    def __init__(self, server, awaited):
        self.socket = server.accept().connection
        self.socket.settimeout(DEADLINE)
        taken = b""
        while awaited not in taken:
            got = self.socket.recv(4096)
            assert got != b"", taken
            taken += got

    def answer(self, *messages, ends=False):
        """All at once."""
        frames = [frame(SETTINGS, 0, 0), frame(SETTINGS, ACK, 0),
                  frame(HEADERS, END_HEADERS, 1, b"\x88\x00\x0ccontent-type\x10application/grpc")]
        frames += [frame(DATA, 0, 1, struct.pack(">BI", 0, len(packed)) + packed) for packed in messages]
        if ends:
            frames.append(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x00\x0bgrpc-status\x010"))
        self.socket.sendall(b"".join(frames))


def test_what_comes_together_with_the_end_of_the_room_says_nothing():
    """It was never freed."""
    def event(kind, **fields):
        return message("tcpchat.v1.Event", kind=f"KIND_{kind}", **fields).SerializeToString()

    with Fake() as server, Terminal("--grpc", "--room", "tea", "-username", "bob", server.address) as terminal:
        room = message("tcpchat.v1.Room", id="0" * 20, name="tea").SerializeToString()
        TalkWire(server, b"tea").answer(room, ends=True)
        TalkWire(server, b"bob").answer(
            event("WELCOME", participant="bob"), event("ROOM_CLOSED", room="tea", participant="eve"), event("NOTICE", code="room", room="lobby"),
            *[event("MESSAGE", room="lobby", seq=seq, at_ns=seq, participant="eve", text="too late") for seq in range(1, 9)])
        terminal.wait("It is over: the room was deleted")
        assert terminal.ended() == 1
        assert "too late" not in "\n".join(terminal.rows("-J"))


# ---- TLS. ----

def test_it_goes_through_tls():
    for kind in (Chatroom, None):
        with Certificates() as certificates:
            authority = certificates.authority()
            pair = certificates.vouched("server")
            with Chatroom(pair) if kind else Server(*options(pair)) as server:
                fingerprint = certificates.fingerprint(pair[0])
                for trust in (["--ca", authority], ["--fingerprint", fingerprint]):
                    code, lines, errors = run(server, "--tls", *trust, "--create")
                    assert (code, errors) == (0, ""), (code, errors)
                    room = lines[0].split()[-1]
                    assert room in run(server, "--tls", *trust, "--list")[1]
                    code, lines, errors = run(server, "--tls", *trust, "--room", room, "--username", "bob", given=b"secret\n")
                    assert (code, errors, lines[-1]) == (0, "", "bob: secret"), (code, lines, errors)
                code, lines, errors = run(server, "--tls", "--list")
                assert code == 1 and lines == [] and "nothing was sent" in errors, (code, lines, errors)
                if kind:  # ours speaks both
                    code, lines, errors = run(server, "--list")
                    assert code == 1 and lines == [] and "tcpclient: no answer from" in errors, (code, lines, errors)


def test_a_stranger_is_asked_about_before_any_question():
    for kind in (Chatroom, None):
        with Certificates() as certificates:
            pair = certificates.own("own")
            with Chatroom(pair, rooms=["a" * 20]) if kind else Server(*options(pair)) as server, \
                    Terminal("--grpc", "--tls", where(server), width=120) as terminal:
                terminal.wait(r"name this fingerprint\? \(yes/no\)")
                terminal.keys("yes", "Enter")
                terminal.wait("Pick a room:")
                terminal.keys("1", "Enter")
                terminal.wait("Name Tag:")
                terminal.keys("bob", "Enter")
                terminal.wait(f"bob: {CAME}|" + PROMPT)
                terminal.wait(r"The connection is encrypted")
                terminal.keys("C-d")
                assert terminal.ended() == 0


# ---- Options. ----

def test_options_that_do_not_go_together_are_refused():
    for arguments, words in ((["--create"], "add --grpc"), (["--list"], "add --grpc"), (["--delete", "x"], "add --grpc"),
                             (["--grpc", "--private"], "add --create"), (["--grpc", "--create", "--list"], "one of"),
                             (["--grpc", "--json"], "--json")):
        done = subprocess.run([program("TCPCLIENT"), *arguments, HOST], capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 2 and words in done.stderr and done.stdout == "", (arguments, done)


if __name__ == "__main__":
    main()
