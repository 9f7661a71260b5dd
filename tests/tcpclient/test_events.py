"""The client in event mode: rooms, requests that are answered, and what it makes of events."""

import json
import os
import re
import subprocess
import tempfile

from support import DEADLINE, HOST, Fake, Filter, GoServer, Terminal, WELCOME, main, wait_for
from talk import Server


def person(server, name, *arguments, **options):
    port = getattr(server, "port")
    return Terminal("-username", name, *arguments, f"{HOST}:{port}", **{"width": 100, **options})


class Events:
    """The other end of a client in event mode, played by the test."""

    def __init__(self, peer, name="bob"):
        self.peer = peer
        peer.welcome(name)
        peer.expect("/events")
        self.tell(kind="welcome", participant=name, room="lobby", protocol="tcpchat/1")

    def tell(self, **event):
        self.peer.say(json.dumps(event, ensure_ascii=False))

    def request(self):
        return json.loads(self.peer.line())

    def expect_session(self):
        request = self.request()
        assert request["op"] == "session" and re.fullmatch("[0-9a-f]{32}", request["session"]), request

    def expect_read(self, room, history):
        """The client reads a room: from its beginning there, or with what was said before."""
        if room != "lobby":
            request = self.request()
            assert (request["op"], request["room"], request["history"]) == ("join", room, "none"), request
            self.entry = request["id"]
        request = self.request()
        assert (request["op"], request["room"], request["history"]) == ("join", room, history), request

    def expect_rooms(self, *rooms, history=20):
        self.expect_session()
        for room in ("lobby", *rooms):
            self.expect_read(room, history)
        if rooms:
            assert self.request()["op"] == "switch"

    def expect_first(self, *rooms):
        """What is asked at the beginning."""
        self.expect_rooms(*rooms)
        assert [self.request()["op"], self.request()["op"]] == ["who", "rooms"]


def events(server, terminal, *rooms, name="bob"):
    other = Events(server.accept(), name)
    other.expect_first(*rooms)
    terminal.wait(r"You\(%s\)> ?\Z" % name)
    return other


def bob(server, *arguments, **options):
    return Terminal("-username", "bob", *arguments, server.address, **{"width": 100, **options})


def enter(terminal, text):
    terminal.type(text)
    terminal.keys("Enter")


# Messages


def test_a_message_is_a_request_with_a_number():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, 'say "it" \\')
        request = other.request()
        assert request == {"op": "send", "room": "lobby", "text": 'say "it" \\', "id": request["id"]}, request
        enter(terminal, "//slash")
        assert other.request()["text"] == "/slash"
        enter(terminal, "/me waves")
        request = other.request()
        assert request["action"] is True and request["text"] == "waves", request
        enter(terminal, "/frob 1")
        assert other.peer.line() == "/frob 1"  # the server knows best what is wrong with it


# It stayed with lines for good when the welcome took more than a second, as it may while a database is away.
def test_a_welcome_that_comes_late_leads_to_events_too():
    with Fake() as server, bob(server) as terminal:
        peer = server.accept()
        peer.expect("bob")
        terminal.wait(r"^You\(bob\)>")  # as to a goTCP server
        peer.say(WELCOME.format("bob"))
        peer.expect("/events")


def test_a_topic_that_was_removed_is_said_to_be():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        other.tell(room="lobby", kind="topic", participant="ann", text="tea")
        other.tell(room="lobby", kind="topic", participant="ann", text="")
        terminal.wait('User "ann" set the topic: tea')
        terminal.wait('User "ann" removed the topic')


def test_what_was_not_acknowledged_is_sent_again_in_its_room():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/join tea")
        other.tell(kind="notice", id=other.request()["id"], text="You are in tea, 1 here.")
        terminal.wait(r"^\[tea\] You\(bob\)>")
        assert other.request()["op"] == "who"
        for text in ("one", "two", "three"):
            enter(terminal, text)
        first, second, third = other.request(), other.request(), other.request()
        other.tell(kind="notice", code="said", id=third["id"], room="tea", seq=4)
        other.tell(kind="error", code="not-stored", id=first["id"], text="the disk is full")
        terminal.wait(r"! not-stored: the disk is full\n.*\(refused\) one")
        other.peer.reset()
        other = events(server, terminal, "tea")
        assert other.request() == second


def test_a_hostile_server_does_not_reach_the_terminal():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        terminal.type("kept")
        other.tell(kind="message", room="lo\x1b[2Jbby", participant="a\x1b]2;owned\x07nn", text="x\x1b[2J\x1bc\nnew line\x9b5n")
        other.tell(kind="message", room=["a"], participant=7, text=None, id={"a": 1}, at=[])
        other.tell(kind="\x1b[31mnew kind", participant="eve", text="something new", id=2**62)
        other.peer.say("[" * 100000, '{"kind":' * 1000, '{"kind":"message","kind":"error"}', "{", '{"a":"\\u0000"}', "nothing")
        for _ in range(50):
            other.tell(kind="welcome", participant="é" * 300, room="é" * 300)
            other.tell(kind="message", room="é" * 300, participant="é" * 300, text="hi")
            other.tell(kind="nick", room="é" * 300, participant="bob", text="bob")
            other.tell(kind="room_closed", room="lobby", participant="é" * 300)
            other.tell(kind="joined", room="é" * 300, participant="é" * 300)
        other.tell(kind="message", room="lobby", participant="ann", text="after", at="2026-99-99T99:99:99Z")
        terminal.wait(r"ann: after\n.*You\(bob\)> kept\Z")
        rows = terminal.history()
        assert "owned" not in terminal.tmux("display-message", "-p", "#{pane_title}")
        assert any("eve: something new" in row for row in rows), rows


# Rooms


def test_several_rooms():
    with Server() as server, person(server, "bob") as terminal, person(server, "ann") as other:
        terminal.wait_prompt()
        other.wait_prompt("ann")
        enter(terminal, '/join "tea time"')
        terminal.wait(r"You are in tea time, 1 here.*\n\[tea time\] You\(bob\)> ?\Z")
        enter(other, "hello lobby")
        terminal.wait(r"\[lobby\] ann: hello lobby")
        enter(terminal, "hello tea")
        terminal.wait(r"^\d\d:\d\d bob: hello tea")
        enter(terminal, "/switch lobby")
        enter(terminal, "hello again")
        other.wait(r"bob: hello again")
        terminal.wait(r"bob: hello again\nYou\(bob\)> ?\Z")
        assert "hello tea" not in "\n".join(other.rows())
        enter(terminal, "/switch nowhere")
        terminal.wait(r"not-in-room.*\nYou\(bob\)> ?\Z")
        enter(terminal, "still here")
        other.wait("bob: still here")
        enter(terminal, '/leave "tea time"')
        terminal.wait("You left tea time")


def test_lines_after_a_join_go_to_the_new_room():
    with Server() as server, person(server, "bob") as terminal, person(server, "ann") as other:
        terminal.wait_prompt()
        other.wait_prompt("ann")
        enter(other, "/join tea")
        other.wait(r"\[tea\] You")
        terminal.keys("/join tea", "Enter", "one", "Enter", "/leave", "Enter", "two", "Enter")
        other.wait(r"^\d\d:\d\d bob: one")
        other.wait(r"\[lobby\] bob: two")


def test_strangers_meet():
    with Server() as server, person(server, "bob") as terminal, person(server, "ann") as other:
        terminal.wait_prompt()
        other.wait_prompt("ann")
        enter(terminal, "/join")
        terminal.wait(r"You wait for a stranger.*\n\[stranger\] You\(bob\)>")
        enter(other, "/join")
        other.wait(r"You met a stranger.*\n\[stranger\] You\(ann\)>")
        enter(other, "hello stranger")
        terminal.wait(r"^\d\d:\d\d ann: hello stranger")
        enter(other, "/leave")
        other.wait(r"You left the stranger\.\nYou\(ann\)> ?\Z")
        # Who was left behind stayed in the room that was over, and each of its lines was refused.
        terminal.wait(r"\nYou\(bob\)> ?\Z")
        enter(terminal, "back in the lobby")
        terminal.wait(r"bob: back in the lobby")


def test_rooms_are_joined_again():
    server = Server()
    try:
        with person(server, "bob", "--room", "tea") as terminal:
            terminal.wait(r"You are in tea, 1 here.*\n\[tea\] You\(bob\)> ?\Z")
            server.process.kill()
            server.process.wait()
            terminal.wait(r"^\(offline\)")
            enter(terminal, "meanwhile")
            with Server(listen=(f"{HOST}:{server.port}",)) as again:
                terminal.wait(r"^\d\d:\d\d bob: meanwhile\n\[tea\] You\(bob\)> ?\Z")
                with Filter("-username", "eve", "-c", "/who tea", f"{HOST}:{again.port}", stdin=subprocess.DEVNULL) as client:
                    code, lines, _ = client.end()
                    assert code == 0 and "* 1 in tea: bob" in lines, lines
    finally:
        server.process.kill()
        server.process.wait()


def test_the_lobby_that_was_left_stays_so():
    """One was put back into it by every new connection."""
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/join tea")
        other.tell(kind="notice", code="room", id=other.request()["id"], room="tea", text="You are in tea, 1 here.")
        assert other.request()["op"] == "who"
        enter(terminal, "/leave lobby")
        request = other.request()
        assert (request["op"], request["room"]) == ("leave", "lobby"), request
        other.tell(kind="notice", code="done", id=request["id"])
        terminal.wait("You left lobby")
        other.peer.reset()
        other = Events(server.accept())
        seen = []
        while "rooms" not in seen:
            request = other.request()
            seen.append(f'{request["op"]} {request.get("room", "")}'.strip())
        assert [line for line in seen if "lobby" in line] == ["leave lobby"], seen
        assert seen.index("join tea") < seen.index("leave lobby"), seen
        enter(terminal, "here")
        request = other.request()
        assert (request["op"], request["room"]) == ("send", "tea"), request


# What is seen


def test_who_is_ignored_is_not_seen():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/ignore eve")
        request = other.request()
        assert (request["op"], request["user"], request["on"]) == ("ignore", "eve", True), request
        other.tell(kind="notice", id=request["id"], text="you ignore eve; /ignore eve again ends that")
        other.tell(kind="message", room="lobby", participant="eve", text="not seen")
        other.tell(kind="message", room="lobby", participant="ann", text="seen")
        rows = terminal.wait("ann: seen")
        assert "not seen" not in "\n".join(rows), rows
        other.peer.reset()
        other = events(server, terminal)
        request = other.request()
        assert (request["user"], request["on"]) == ("eve", True), request
        enter(terminal, "/ignore")
        terminal.wait(r"\* you ignore eve\nYou")
        enter(terminal, "/ignore EVE")
        terminal.wait(r"\* you no longer ignore EVE\nYou")
        request = other.request()
        assert (request["user"], request["on"]) == ("EVE", False), request
        other.tell(kind="message", room="lobby", participant="eve", text="seen again")
        terminal.wait("eve: seen again")


def test_who_is_ignored_stays_so_over_restarts():
    with tempfile.TemporaryDirectory() as state:
        path = os.path.join(state, "tcpclient")
        with Fake() as server:
            with bob(server, environment={"XDG_STATE_HOME": state}) as terminal:
                other = events(server, terminal)
                for name in ("eve", '"Johnny Boi"', "dan", "dan"):
                    enter(terminal, f"/ignore {name}")
                    assert other.request()["op"] == "ignore"
                terminal.wait("no longer ignore dan")
            file, = [name for name in os.listdir(path) if name.startswith("ignored-")]
            assert file == f"ignored-{HOST}-{server.port}", file
            file = os.path.join(path, file)
            assert os.stat(file).st_mode & 0o777 == 0o600
            with open(file, encoding="utf-8") as names:
                assert names.read() == "eve\nJohnny Boi\n"
            with bob(server, environment={"XDG_STATE_HOME": state}) as terminal:
                other = events(server, terminal)
                assert [other.request()["user"], other.request()["user"]] == ["eve", "Johnny Boi"]
                for participant, text in (("eve", "not seen"), ("Johnny Boi", "not seen"), ("dan", "seen")):
                    other.tell(kind="message", room="lobby", participant=participant, text=text)
                rows = terminal.wait("dan: seen")
                assert "not seen" not in "\n".join(rows), rows
            with open(file, "wb") as names:  # nothing in it is believed
                names.write(b"\x1b]0;owned\x07\n\xff\xfe\n" + b"x" * 300 + b"\na\tb\n\neve\n\0dan\n" + b"y\n" * 100000)
            with bob(server, environment={"XDG_STATE_HOME": state}) as terminal:
                other = events(server, terminal)
                assert other.request()["user"] == "eve"
                enter(terminal, "/ignore")
                terminal.wait(r"\* you ignore eve\nYou")


def test_who_is_ignored_stays_so_under_another_name():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/ignore eve")
        other.tell(kind="notice", id=other.request()["id"], text="you ignore eve; /ignore eve again ends that")
        other.tell(kind="nick", room="lobby", participant="eve", text="mallory")
        other.tell(kind="message", room="lobby", participant="Mallory", text="not seen")
        other.tell(kind="nick", room="lobby", participant="mallory", text="trudy")
        other.tell(kind="direct", participant="trudy", to="bob", text="not seen")
        other.tell(kind="message", room="lobby", participant="mallory", text="seen")  # somebody else now
        rows = terminal.wait("mallory: seen")
        assert "not seen" not in "\n".join(rows) and "trudy" not in "\n".join(rows), rows
        other.tell(kind="left", room="lobby", participant="trudy", text="normally")
        other.tell(kind="message", room="lobby", participant="trudy", text="another one")
        terminal.wait("trudy: another one")
        # The server goes by connections: it is told about the next one.
        other.tell(kind="joined", room="lobby", participant="eve")
        assert other.request()["user"] == "eve"


def test_a_server_that_did_not_know_whom_one_ignores_is_told_again():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/ignore eve")
        other.tell(kind="notice", id=other.request()["id"], text="you no longer ignore eve")
        request = other.request()
        assert request["user"] == "eve"
        other.tell(kind="notice", id=request["id"], text="you no longer ignore eve")  # that is enough
        enter(terminal, "hello")
        assert other.request()["op"] == "send"


def test_a_server_that_cannot_be_told_to_ignore_is_asked_to():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "/ignore eve")
        request = other.request()
        assert request["on"] is True, request
        other.tell(kind="error", id=request["id"], code="bad-request", text="there is no field on")
        request = other.request()
        assert request["user"] == "eve" and "on" not in request, request
        other.tell(kind="notice", id=request["id"], text="you ignore eve; /ignore eve again ends that")
        enter(terminal, "/ignore eve")
        assert "on" not in other.request()


def test_commands_of_the_client_are_explained_by_the_client():
    with Server() as server, person(server, "bob", height=50) as terminal:
        terminal.wait_prompt()
        enter(terminal, "/help find")
        terminal.wait(r"\* /find WORDS - shows what was received.*\nYou")
        enter(terminal, "/help /save")
        terminal.wait(r"\* /save FILE - .*\nYou")
        enter(terminal, "/help topic")
        terminal.wait(r"\* /topic \[.*TEXT\] - ")
        enter(terminal, "/SEARCH words")
        terminal.wait("there is no command /SEARCH; did you mean /search")
        enter(terminal, "/FIND words")
        terminal.wait("there is no command /FIND; did you mean /find")
        enter(terminal, "/SAVE")
        terminal.wait("there is no command /SAVE; did you mean /save")
        for typed, meant in (("/serach words", "/search"), ("/saev out.txt", "/save"), ("/help jion", "/join"),
                             ("/help JOIN", "/join"), ("/help SEARCH", "/search"), ("/help /serach", "/search")):
            command = typed.replace("/help", "").strip(" /").split()[0]
            enter(terminal, typed)
            terminal.wait(f"! unknown-command: there is no command /{command}; did you mean {meant}[?]")
            terminal.keys("C-l")
        enter(terminal, "/help zzzzzz")
        terminal.wait("! unknown-command: the server has no command /zzzzzz")
        enter(terminal, "/find")
        terminal.wait("it is /find WORDS")
        enter(terminal, "/help")
        rows = terminal.wait(r"/who \[ROOM\] - (.|\n)*//text - says /text")
        for own in ("/ignore [USER] - hides", "/save FILE - ", "/find WORDS - "):
            assert any(own in row for row in rows), rows


def test_days_are_separated():
    with Fake() as server, bob(server, environment={"TZ": "UTC"}) as terminal:
        other = events(server, terminal)
        for at, text in (("2026-11-20T23:59:00.5Z", "one"), ("2026-11-21T00:01:00.5Z", "two")):
            other.tell(kind="message", room="lobby", participant="ann", text=text, at=at)
        terminal.wait(r"23:59 ann: one\n.*Saturday, 21 November 2026.*\n00:01 ann: two")


def test_who_comes_and_goes_in_a_row_is_one_line():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        terminal.type("typed")
        other.tell(kind="joined", room="lobby", participant="ann")
        terminal.wait(r'^\d\d:\d\d User "ann" just joined the chat!\nYou\(bob\)> typed\Z')
        for name in ("eve", "dan"):
            other.tell(kind="joined", room="lobby", participant=name)
        other.tell(kind="left", room="lobby", participant="ann", text="normally")
        rows = terminal.wait(r"^\d\d:\d\d eve, dan joined; ann joined and left\nYou\(bob\)> typed\Z")
        assert len(rows) == 5, rows
        for number in range(12):
            other.tell(kind="joined", room="lobby", participant=f"a person with a long name {number}")
            if number == 6:
                terminal.wait("long name 4")
        rows = terminal.wait(r"and 6 more joined; ann joined and left\nYou\(bob\)> typed\Z")
        assert len(rows) == 5, rows
        other.tell(kind="message", room="lobby", participant="eve", text="hi")
        other.tell(kind="joined", room="lobby", participant="zoe")
        terminal.wait(r'ann joined and left\n\d\d:\d\d eve: hi\n\d\d:\d\d User "zoe" just joined the chat!\nYou')


def test_search_and_save():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        for text in ("Green tea", "black coffee", "GREEN coffee"):
            other.tell(kind="message", room="lobby", participant="ann", text=text)
        terminal.wait("GREEN coffee")
        enter(terminal, "/find green coff")
        terminal.wait(r"\(found: 1\)\n.*ann: GREEN coffee\nYou")
        enter(terminal, "/save out.txt")
        terminal.wait("Saved what was received")
        saved = terminal.path / "out.txt"
        assert [line[6:] for line in saved.read_text().splitlines()][-3:] == [
            "ann: Green tea", "ann: black coffee", "ann: GREEN coffee"]
        assert saved.stat().st_mode & 0o777 == 0o600
        enter(terminal, "/save out.txt")
        terminal.wait("! not-saved: there is a file of that name")
        enter(terminal, "/save no/such/folder")
        terminal.wait(r"! not-saved: the file cannot be written \(No such file or directory\)")


def raw_output(terminal):
    """What the client writes from now on, as it is."""
    path = terminal.path / "raw"
    terminal.tmux("pipe-pane", f"cat >{path}")
    wait_for(path.exists, "the file")
    return path


def test_a_mention_rings_and_notifies():
    with Fake() as server, bob(server, "--highlight", "tea", environment={"TERM_PROGRAM": ""}) as terminal:
        other = events(server, terminal)
        raw = raw_output(terminal)
        other.tell(kind="message", room="lobby", participant="ann", text="nobody is called bobby")
        terminal.wait("bobby")
        assert b"\a" not in raw.read_bytes() and b"\x1b[7m" not in raw.read_bytes()
        other.tell(kind="message", room="lobby", participant="ann", text="Tea is ready")
        terminal.wait("Tea is ready")
        wait_for(lambda: b"\a" in raw.read_bytes() and b"\x1b[7m" in raw.read_bytes(), "the bell")
        terminal.tmux("send-keys", "-H", "1b", "5b", "4f")  # the terminal lost the focus
        terminal.type("x")
        terminal.wait_prompt(typed="x")
        other.tell(kind="message", room="lobby", participant="ann", text="BOB; come\x1b]0;x\x07")
        terminal.wait("BOB; come")
        wait_for(lambda: b"]9;ann: BOB  come]0 x" in raw.read_bytes(), "the notification")
        assert b"\x1bPtmux;\x1b\x1b]9;" in raw.read_bytes()
        terminal.tmux("send-keys", "-H", "1b", "5b", "49")
        terminal.wait("1 new since you looked away")


def test_tab_completes_commands_rooms_and_people():
    with Fake() as server, bob(server) as terminal:
        other = Events(server.accept())
        other.expect_rooms()
        who = other.request()
        rooms = other.request()
        other.tell(kind="notice", id=who["id"], text="3 here: amy, ann, bob")
        other.tell(kind="notice", id=rooms["id"], text="2 rooms:")
        other.tell(kind="notice", id=rooms["id"], text="tea time (2) - its topic (or so)")
        other.tell(kind="message", room="lobby", participant="ann", text="hi")
        terminal.wait("ann: hi")
        for typed, tabs, wanted in (
            ("a", 1, "ann:"), ("a", 2, "amy:"), ("a", 3, "ann:"), ("hello A", 1, "hello ann"), ("/inv", 1, "/invite"),
            ("/join te", 1, '/join "tea time"'), ("/dm am", 1, "/dm amy"), ("zzz", 1, "zzz"), ("/help sw", 1, "/help switch"),
        ):
            terminal.type(typed)
            terminal.keys(*["Tab"] * tabs)
            terminal.wait_prompt(typed=wanted)
            terminal.keys("C-u")
            terminal.wait_prompt()


def test_a_password_is_not_remembered():
    """/admin PASSWORD was in the history's file, and was shown again while the server was gone."""
    with tempfile.TemporaryDirectory() as state:
        with Fake() as server, bob(server, environment={"XDG_STATE_HOME": state}) as terminal:
            other = events(server, terminal)
            for line in ("hello", "/admin tops3cret", "/amdin tops3cret", "/help admin"):
                enter(terminal, line)
                if not line.startswith("/amdin"):
                    other.request() if line == "hello" else other.peer.line()
            terminal.wait_prompt()
            terminal.keys("Up")
            terminal.wait_prompt(typed="/help admin")
            terminal.keys("Up")
            terminal.wait_prompt(typed="hello")
            terminal.keys("C-c")
            terminal.wait_prompt()
            other.peer.reset()
            terminal.wait(r"\(offline\) You\(bob\)> ?\Z")
            enter(terminal, "/admin tops3cret")
            terminal.wait("\\(waits for the server\\) \\(a command with a password\\)")
            assert "tops3cret" not in "\n".join(terminal.history())
            for folder, _, files in os.walk(state):
                for file in files:
                    with open(os.path.join(folder, file), "rb") as content:
                        assert b"tops3cret" not in content.read(), file


def test_typed_lines_are_remembered_for_each_server():
    with tempfile.TemporaryDirectory() as state:
        for line in ("first", None):
            with Server() as server, person(server, "bob", environment={"XDG_STATE_HOME": state}) as terminal:
                terminal.wait_prompt()
                if line is None:
                    terminal.keys("Up", "C-e")
                    terminal.type("!")
                    terminal.wait_prompt(typed="!")
                    break
                enter(terminal, line)
                terminal.wait("bob: first")
                port = server.port
            with Server(listen=(f"{HOST}:{port}",)) as server, person(
                    server, "bob", environment={"XDG_STATE_HOME": state}) as terminal:
                terminal.wait_prompt()
                terminal.keys("Up")
                terminal.wait_prompt(typed="first")
            files = [name for name in os.listdir(os.path.join(state, "tcpclient")) if name.startswith("history")]
            assert files == [f"history-{HOST}-{port}"], files
            assert os.stat(os.path.join(state, "tcpclient", files[0])).st_mode & 0o777 == 0o600


def read_answer(other, room="lobby", last=0, mark=0, requests=None):
    """Answers what reads the room."""
    other.expect_session()
    request = other.request()
    assert request["op"] == "join", request
    other.tell(kind="notice", code="room", id=request["id"], room=room, room_id="0123456789abcdef0123", last=last, mark=mark,
               text="You are in lobby, 1 here.")
    assert [other.request()["op"], other.request()["op"]] == ["who", "rooms"]


def message(seq, text, **more):
    return {"kind": "message", "room": "lobby", "participant": "ann", "text": text, "seq": seq, **more}


def test_what_waits_for_the_server_is_shown_until_it_is_acknowledged():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        enter(terminal, "one")
        enter(terminal, "/me two")
        terminal.type("three")
        terminal.wait(r"^\(waits for the server\) one\n\(waits for the server\) /me two\nYou\(bob\)> three\Z")
        first, second = other.request(), other.request()
        other.tell(kind="notice", code="said", id=first["id"], room="lobby", seq=2)
        terminal.wait(r"\.\n\(waits for the server\) /me two\nYou\(bob\)> three\Z")
        other.tell(kind="error", code="not-stored", id=second["id"], text="the disk is full; send it again")
        terminal.wait(r"! not-stored: the disk is full; send it again\n.*\(refused\) /me two\nYou\(bob\)> three\Z")


def test_what_is_new_is_told():
    with Fake() as server, bob(server) as terminal:
        other = Events(server.accept())
        read_answer(other, last=9, mark=6)
        for seq in range(5, 9):
            other.tell(**message(seq, f"line {seq}", history=True, at="2026-11-20T08:00:00.000Z"))
        other.tell(**message(10, "now", at="2026-11-21T08:00:00.000Z"))
        rows = terminal.wait("ann: now")
        assert terminal.clock_free(rows[-8:]) == [
            "--- Friday, 20 November 2026 ---", "ann: line 5", "ann: line 6", "--- 2 new since you were here ---",
            "ann: line 7", "ann: line 8", "--- Saturday, 21 November 2026 ---", "ann: now"][-7:] + ["You(bob)>"], rows
        request = other.request()
        assert (request["op"], request["room"], request["seq"]) == ("mark", "lobby", 10), request


def test_a_hole_is_mended():
    with Fake() as server, bob(server) as terminal:
        other = Events(server.accept())
        read_answer(other)
        other.tell(**message(1, "one"))
        other.tell(**message(3, "three"))
        request = other.request()
        while request["op"] == "mark":
            request = other.request()
        assert (request["op"], request["room"], request["after"], request["room_id"]) == (
            "join", "lobby", 1, "0123456789abcdef0123"), request
        other.tell(**message(4, "four"))
        other.tell(kind="notice", code="room", id=request["id"], room="lobby", room_id="0123456789abcdef0123", last=4, mark=0,
                   text="You are in lobby, 1 here.")
        for seq, text in ((2, "two"), (3, "three"), (4, "four"), (4, "four")):
            other.tell(**message(seq, text))
        other.tell(**message(5, "five"))
        rows = terminal.wait("ann: five")
        said = [row.split("ann: ")[1].rstrip() for row in rows if "ann: " in row]
        assert said == ["one", "two", "three", "four", "five"], said


def test_who_is_behind_is_told():
    with Fake() as server, bob(server) as terminal:
        other = Events(server.accept())
        read_answer(other)
        other.tell(**message(1, "one"))
        other.tell(kind="notice", code="behind", room="lobby", count=5000,
                   text="You are 5000 messages behind; /latest goes to what is said now.")
        other.tell(kind="notice", code="skipped", room="lobby", count=7, text="(7 messages skipped)")
        other.tell(**message(9, "nine"))
        terminal.wait(r"one\n.*You are 5000 messages behind; /latest.*\n.*\(7 messages skipped\)\n.*ann: nine")
        enter(terminal, "/latest")
        request = other.request()
        while request["op"] == "mark":
            request = other.request()
        assert (request["op"], request["room"]) == ("latest", "lobby"), request
        other.tell(kind="notice", code="room", id=request["id"], room="lobby", room_id="0123456789abcdef0123", last=90, mark=0,
                   text="80 messages skipped; /history shows them")
        other.tell(**message(91, "newest"))
        terminal.wait(r"80 messages skipped.*\n.*ann: newest")


# Scripts


def test_json_prints_events_as_they_come():
    with Server() as server, Filter("-username", "bot", "--json", "--room", "tea", f"{HOST}:{server.port}") as client:
        code, lines, errors = client.end("hé\n/who\n".encode())
        assert code == 0, (code, errors)
        told = [json.loads(line) for line in lines]
        assert told[0]["kind"] == "welcome"
        assert all(event.get("id", 1) > 0 for event in told), told  # what nobody typed has no answer
        assert any(event["kind"] == "message" and event["text"] == "hé" and event["room"] == "tea" for event in told), told
        assert any(event.get("text") == "1 here: bot" for event in told), told


def test_json_hides_what_the_client_asks_by_itself():
    with Fake() as server, Filter("-username", "bob", "--json", "--room", "tea", server.address) as client:
        other = Events(server.accept())
        other.expect_session()
        other.expect_read("lobby", 1)
        join, read, switch = other.request(), other.request(), other.request()
        other.tell(kind="notice", id=join["id"], room="tea", text="You are in tea, 1 here.")
        other.tell(kind="notice", id=read["id"], room="tea", text="You are in tea, 1 here.")
        other.tell(kind="error", id=switch["id"], code="not-in-room", text="you are not in tea; join it first")
        other.tell(kind="pong", text="")
        client.give(b"/ping x\n")
        ping = other.request()
        other.tell(kind="pong", id=ping["id"], text="x")
        client.no_more()
        other.peer.expect_end()
        other.peer.close()
        code, lines, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)
        told = [json.loads(line) for line in lines]
        assert [event["kind"] for event in told] == ["welcome", "notice", "pong"], lines
        assert told[1] == {"kind": "notice", "room": "tea", "text": "You are in tea, 1 here."}, lines
    with Fake() as server, Filter("-username", "bob", "--json", "--room", "tea", server.address,
                                  stdin=subprocess.DEVNULL) as client:
        other = Events(server.accept())
        other.expect_session()
        other.expect_read("lobby", 1)
        join, read = other.request(), other.request()
        other.tell(kind="error", id=join["id"], code="room-full", text="tea is full")
        other.tell(kind="error", id=read["id"], code="room-full", text="tea is full")
        assert other.request()["op"] == "switch"
        other.peer.close()
        code, lines, errors = client.end()
        assert json.loads(lines[1]) == {"kind": "error", "code": "room-full", "text": "tea is full"}, lines
        assert code == 1 and "room-full: tea is full" in errors, (code, lines, errors)


def test_json_requests_are_sent_as_they_are():
    with Server() as server, Filter("-username", "bot", "--json", f"{HOST}:{server.port}") as client:
        code, lines, errors = client.end(b'''{"op":"join","room":"tea","id":"a"}
{"op":"send","room":"tea","text":"{hi}","id":77}
/help join
/msg {"text"}
''')
        events = [json.loads(line) for line in lines]
        assert code == 0 and errors == "", (code, errors, lines)
        assert [event["room"] for event in events if event.get("id") == "a"] == ["tea"], lines
        assert any(event.get("id") == 77 for event in events), lines
        assert any(event["kind"] == "message" and event["text"] == "{hi}" for event in events), lines
        assert [event["text"][:5] for event in events if event.get("text", "").startswith("/join") and event.get("id") == 1], lines
        assert any(event.get("id") == 2 for event in events), lines
        assert any(event["kind"] == "message" and event["text"] == '{"text"}' for event in events), lines


def test_nothing_is_said_elsewhere_when_the_room_is_refused():
    """It was said in the lobby."""
    refusal = "there is no room secret, and none can be made"
    for form in ((), ("--plain",), ("--json",)):
        for given in ("-c", "stdin", "listening"):
            arguments = ("-c", "hello\nthere") if given == "-c" else ()
            stdin = subprocess.PIPE if given == "stdin" else subprocess.DEVNULL
            with Fake() as server, Filter(
                    server.address, "-username", "bot", "--room", "secret", *form, *arguments, stdin=stdin) as client:
                if given == "stdin":
                    client.give(b"hello\nthere\n")
                if form:
                    other = Events(server.accept(), "bot")
                    while (request := other.request()).get("room") != "secret":
                        assert request["op"] in ("session", "join"), request
                    other.tell(kind="error", code="no-such-room", id=request["id"], text=refusal)
                    peer = other.peer
                else:
                    peer = server.accept().welcome("bot")
                    peer.expect('/join "secret"')
                    peer.say("bob: hello", "! no-such-room: " + refusal)
                data = peer.received
                while chunk := peer.connection.recv(65536):
                    data += chunk
                assert b"hello" not in data and b"there" not in data, data
                peer.close()
                code, lines, errors = client.end()
                assert code == 1 and refusal in errors, (form, given, code, errors)


def test_the_lobby_is_a_room_to_be_in_too():
    """Nobody is asked to join it, and so everything waited for ever."""
    with Server() as server:
        ann = server.join("ann")
        for arguments in (["--plain"], ["--json"]):
            with Filter("-username", "bob", *arguments, "--room", "lobby", f"{HOST}:{server.port}") as client:
                code, lines, errors = client.end(b"hello\n/topic --clear\nbye\n")
            assert (code, errors) == (0, ""), (code, lines, errors)
            for text in ("bob: hello", "bob: bye"):
                while ann.line() != text:
                    pass


def test_what_is_said_waits_for_the_room():
    for form in ((), ("--plain",), ("--json",)):
        with Server() as server, Filter(
                "-username", "ann", "--room", "tea", *form, f"{HOST}:{server.port}", "-c", "hello\nthere") as client:
            code, lines, errors = client.end()
            assert code == 0 and errors == "", (form, code, errors, lines)
            said = "\n".join(lines)
            assert "hello" in said and "there" in said, lines
            if form == ("--json",):
                rooms = [event["room"] for event in map(json.loads, lines) if event["kind"] == "message"]
                assert rooms == ["tea", "tea"], lines


def test_a_gotcp_server_has_no_rooms():
    for form in ((), ("--plain",), ("--json",)):
        with GoServer() as server, Filter(server.address, "-username", "bot", "--room", "tea", *form, "-c", "hello") as client:
            code, lines, errors = client.end()
            assert code == 1 and "the server knows no rooms" in errors, (form, code, errors)
            assert not any("hello" in line for line in lines), lines


def test_what_was_said_before_is_saved():
    with Server() as server, tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "a file")
        with Filter("-username", "bot", "--plain", f"{HOST}:{server.port}") as client:
            code, lines, errors = client.end(f'one\ntwo\n/save "{file}"\nthree\n'.encode())
            assert code == 0, (code, errors)
        with open(file, encoding="utf-8") as saved:
            text = saved.read()
        assert "bot: one\nbot: two\n" in text and "three" not in text, text


def test_json_refusals_are_errors():
    with Server() as server, Filter("-username", "bot", "--json", f"{HOST}:{server.port}") as client:
        code, _, errors = client.end(b"/switch nowhere\n" + b"x" * 65530 + b"\n")
        assert code == 1 and "not-in-room" in errors and "too long" in errors, (code, errors)


def test_commands_of_the_command_line_are_run():
    with Server() as server, Filter("-username", "bot", "-c", "/who\nhi", f"{HOST}:{server.port}", stdin=subprocess.DEVNULL) as client:
        code, lines, errors = client.end()
        assert code == 0 and lines[1:] == ["* 1 here: bot", "bot: hi"], (code, lines, errors)


def test_plain_redraws_nothing():
    with Server() as server, Terminal("-username", "bob", "--plain", f"{HOST}:{server.port}", width=100) as terminal:
        terminal.wait(r"^\* Welcome bob")
        raw = raw_output(terminal)
        enter(terminal, "hello")
        terminal.wait(r"^hello\nbob: hello")
        terminal.keys("Enter")
        enter(terminal, "/ignore eve")
        terminal.wait(r"^\* you ignore eve")
        enter(terminal, "/find hello")
        terminal.wait(r"^\(found: 1\)\nbob: hello")
        enter(terminal, "/search hello")
        terminal.wait(r"^! no-search: ")
        enter(terminal, "/frob")
        terminal.wait(r"^! unknown-command: there is no command /frob")
        terminal.keys("C-d")
        assert terminal.ended() == 0
        assert b"\x1b" not in raw.read_bytes().split(b"marks?")[0].split(b"\x1b[?")[0], raw.read_bytes()


def test_plain_shows_the_room_when_there_are_several():
    with Fake() as server, Filter("-username", "bob", "--plain", server.address) as client:
        other = Events(server.accept())
        other.expect_first()
        other.tell(kind="message", room="lobby", participant="ann", text="one room")
        client.give(b"/join tea\n")
        other.tell(kind="notice", id=other.request()["id"], room="tea", text="You are in tea, 1 here.")
        assert other.request()["op"] == "who"
        other.tell(kind="message", room="tea", participant="ann", text="here")
        other.tell(kind="joined", room="tea", participant="eve")
        other.tell(kind="joined", room="tea", participant="dan")
        other.tell(kind="message", room="lobby", participant="ann", text="there")
        client.give(b"hello\n")
        request = other.request()
        assert request["room"] == "tea", request
        other.tell(kind="notice", code="said", id=request["id"], room="tea", seq=9)
        client.no_more()
        other.peer.expect_end()
        other.peer.close()
        code, lines, errors = client.end()
        assert code == 0, (code, errors)
        assert lines[2:] == ["ann: one room", "* You are in tea, 1 here.", "[tea] ann: here",
                             '[tea] User "eve" just joined the chat!', '[tea] User "dan" just joined the chat!',
                             "[lobby] ann: there"], lines


def test_plain_connects_again_and_is_where_it_was():
    server = Server()
    address = f"{HOST}:{server.port}"
    try:
        with Terminal("-username", "bob", "--plain", address, width=100) as terminal:
            terminal.wait(r"^\* Welcome bob")
            enter(terminal, "/join tea")
            terminal.wait(r"^\* You are in tea, 1 here.")
            server.process.kill()
            server.process.wait()
            terminal.wait(r"^The server\(%s\) is gone: .*Connecting again; what you type waits" % re.escape(address))
            enter(terminal, "meanwhile")
            with Server(listen=(address,)) as again:
                terminal.wait(r"^Connected to %s.*\n(.|\n)*^\[tea\] bob: meanwhile$" % re.escape(address))
                with Filter("-username", "eve", "-c", "/who tea", f"{HOST}:{again.port}", stdin=subprocess.DEVNULL) as client:
                    code, lines, _ = client.end()
                    assert code == 0 and "* 1 in tea: bob" in lines, lines
                terminal.keys("C-d")
                assert terminal.ended() == 0
    finally:
        server.process.kill()
        server.process.wait()


def test_plain_can_be_left_while_the_server_is_gone():
    with Fake() as server, Terminal("-username", "bob", "--plain", server.address, width=100) as terminal:
        other = Events(server.accept())
        other.expect_first()
        server.listener.close()
        other.peer.reset()
        terminal.wait("is gone")
        terminal.keys("C-d")
        assert terminal.ended() == 0


def test_json_connects_again_as_long_as_there_is_input():
    with Fake() as server, Filter("-username", "bob", "--json", "--room", "tea", server.address) as client:
        other = Events(server.accept())
        other.expect_rooms("tea", history=1)
        other.tell(kind="notice", code="room", id=other.entry, room="tea", text="You are in tea, 1 here.")
        client.give(b"one\n")
        first = other.request()
        assert (first["text"], first["room"]) == ("one", "tea"), first
        other.peer.reset()
        other = Events(server.accept())
        other.expect_rooms("tea", history=1)
        assert other.request() == first
        other.tell(kind="notice", code="said", id=first["id"], room="tea", seq=3)
        client.give(b"two\n")
        second = other.request()
        assert second["text"] == "two"
        client.no_more()  # now it waits for the answer, but not for another connection
        other.tell(kind="message", room="tea", participant="ann", text="last")
        other.peer.reset()
        code, lines, errors = client.end()
        assert code == 1 and "ended before all was said" in errors, (code, errors)
        told = [event for event in map(json.loads, lines) if event.get("code") != "room"]
        assert [event["kind"] for event in told][:5] == ["welcome", "notice", "notice", "welcome", "notice"], told
        assert "is gone" in told[1]["text"] and "Connected to" in told[2]["text"], told
        for event in told[1:3]:
            assert sorted(event) == ["at", "kind", "text"] and re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.[0-9]{3}Z", event["at"])


def test_one_who_has_heard_nothing_yet_misses_nothing():
    """A room was silent between the first "/join" and the end of the connection: what was said then was left out."""
    with Fake() as server, Filter("-username", "bob", "--json", server.address) as client:
        other = Events(server.accept())
        other.expect_rooms(history=1)
        client.give(b"/join tea\n")
        other.tell(kind="notice", code="room", id=other.request()["id"], room="tea", room_id="abc", last=17,
                   text="You are in tea, 1 here.")
        other.peer.close()
        other = Events(server.accept())
        other.expect_session()
        other.expect_read("lobby", 1)
        other.request()
        read = other.request()
        assert (read["room"], read["after"], read["room_id"]) == ("tea", 17, "abc"), read


def test_what_is_said_while_one_comes_is_shown():
    """It was taken for what was said before, which a program does not want to know."""
    with Fake() as server, Filter("-username", "bob", "--json", "--room", "tea", server.address) as client:
        other = Events(server.accept())
        other.expect_session()
        other.expect_read("lobby", 1)
        join, read, _ = other.request(), other.request(), other.request()
        said = {"kind": "message", "room": "tea", "participant": "ann", "text": "hello", "seq": 18}
        room = {"kind": "notice", "code": "room", "room": "tea", "room_id": "abc", "text": "You are in tea, 2 here."}
        other.tell(id=join["id"], last=17, **room)
        other.tell(**said)
        other.tell(id=read["id"], last=18, **room)
        other.tell(history=True, **said)
        more = other.request()
        assert (more["op"], more["room"], more["after"], more["room_id"]) == ("join", "tea", 17, "abc"), more
        other.tell(id=more["id"], last=18, **room)
        other.tell(**said)
        other.tell(**{**said, "seq": 19})
        client.no_more()
        other.peer.close()
        _, lines, _ = client.end()
        assert [event["seq"] for event in map(json.loads, lines) if event["kind"] == "message"] == [18, 19], lines


def test_without_input_nothing_is_connected_again():
    for form in ("--json", "--plain"):
        with Fake() as server, Filter("-username", "bob", form, server.address, stdin=subprocess.DEVNULL) as client:
            other = Events(server.accept())
            if form == "--plain":
                other.expect_first()
            other.peer.close()
            code, _, errors = client.end()
            assert (code, errors) == (0, ""), (form, code, errors)


def test_where_there_was_never_a_server_is_an_error():
    with Fake() as server:
        address = server.address
    for form in ("--json", "--plain"):
        with Filter("-username", "bob", form, address) as client:
            code, lines, errors = client.end()
            assert code == 1 and lines == [] and "Connection refused" in errors, (code, lines, errors)


def test_a_room_that_was_joined_while_the_server_was_gone():
    with Fake() as server, bob(server) as terminal:
        other = events(server, terminal)
        other.peer.reset()
        terminal.wait("is gone")
        enter(terminal, "/join tea")
        enter(terminal, "one")
        other = events(server, terminal)
        join = other.request()
        assert join["op"] == "join" and other.request()["room"] == "tea"
        other.tell(kind="notice", id=join["id"], room="tea", text="You are in tea, 1 here.")
        terminal.wait(r"^\[tea\] You\(bob\)>")


if __name__ == "__main__":
    main()
