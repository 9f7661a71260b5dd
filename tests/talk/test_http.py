"""The HTTP door: rooms as resources, posting, streams; and what is wrong, refused in words that help."""

import base64
import email.utils
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from events import come_back, join_events
from talk import BUILD_KIND, DEADLINE, Server, main, on_each_journal, scaled, skip, wait_for
from web import Stream, ask, connect, keep, parse, raw, receive_all
from websocket import say_all

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ID = re.compile("[0-9a-f]{20}")
HOME = "* You are in lobby. /join finds a stranger, /rooms lists the rooms."
SESSION = "00112233445566778899aabbccddeeff"
PASSWORD = "open sesame"
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
           "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}


def basic(user, password=""):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def password_file():
    file = tempfile.NamedTemporaryFile("w", suffix=".password")
    os.chmod(file.name, 0o600)
    file.write(PASSWORD + "\n")
    file.flush()
    return file


def seqs(reply):
    return [message["seq"] for message in reply.json["messages"]]


# ---- Chatty. ----


def test_chatty_makes_a_room_and_pings():
    with Server() as server:
        made = ask(server, "POST", "/chat?name=tea+party").expect(201)
        assert made.headers["content-type"] == "application/json"
        assert set(made.json) == {"id", "name"} and ID.fullmatch(made.json["id"]) and made.json["name"] == "tea party"
        assert made.headers["location"] == f"/rooms/{made.json['id']}"
        ask(server, "GET", f"/rooms/{made.json['id']}").expect(200)
        ping = ask(server, "GET", "/ping").expect(200)
        assert ping.body == b"pong" and ping.headers["content-type"].startswith("text/plain")


def test_chatty_refuses_with_words():
    with Server() as server:
        ask(server, "POST", "/chat?name=tea").expect(201)
        for target in ("/chat?name=tea", "/chat?name=TEA"):
            ask(server, "POST", target).expect(409, "room-exists")
        for query in ("", "?name=", "?Name=x", "?name=%20", "?name=a*b", "?name=" + "x" * 51, "?name=0123456789abcdef0123"):
            ask(server, "POST", "/chat" + query).expect(400, "bad-room-name")
        ask(server, "POST", "/chat", "name=x", Content_Type="application/x-www-form-urlencoded").expect(400, "bad-room-name")
        for query in ("?name=%", "?name=%4", "?name=%zz", "?name=%ff", "?name=%00", "?name=%0a"):
            ask(server, "POST", "/chat" + query).expect(400, "bad-request")
        for method in ("GET", "PUT", "DELETE"):
            refused = ask(server, method, "/chat").expect(405, "method-not-allowed")
            assert refused.headers["allow"] == "POST, OPTIONS"
        assert ask(server, "HEAD", "/chat").expect(405).body == b""
        for path in ("/chat/", "//chat", "/nothing", "/ping/x", "/rooms/a/b", "/rooms//messages"):
            ask(server, "GET", path).expect(404, "not-found")
        assert ask(server, "GET", "/chat?name=a&name=b").status == 405
        assert ask(server, "POST", "/chat?name=first&name=second").json["name"] == "first"


def test_a_websocket_that_cannot_be_is_refused_before_it_begins():
    with Server() as server:
        def join(query="", **changes):
            headers = {**UPGRADE, **changes}
            return ask(server, "GET", "/chat/join" + query, **{name: value for name, value in headers.items() if value})

        join("?name=a*b").expect(400, "bad-name")
        join("?name=").expect(400, "bad-name")
        join("?name=bob&room=nowhere").expect(404, "no-such-room")
        join("?name=bob&room=0123456789abcdef0123").expect(404, "no-such-room")
        join("?name=bob&after=x").expect(400, "usage")
        join(Origin="http://elsewhere.example").expect(403, "foreign-origin")
        join(Origin="null").expect(403, "foreign-origin")
        join(Sec_WebSocket_Key="short").expect(400, "upgrade-required")
        join(Sec_WebSocket_Key=None).expect(400, "upgrade-required")
        for changes in ({"Upgrade": None}, {"Connection": "keep-alive"}, {"Sec_WebSocket_Version": "8"},
                        {"Sec_WebSocket_Version": None}):
            refused = join(**changes).expect(426, "upgrade-required")
            assert refused.headers["sec-websocket-version"] == "13" and refused.headers["upgrade"] == "websocket"
            assert "upgrade" in refused.headers["connection"].lower()
        refused = ask(server, "POST", "/chat/join", **UPGRADE).expect(405, "method-not-allowed")
        data = raw(server, b"GET /chat/join?name=bob HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        parse(data)[0].expect(400, "upgrade-required")
        watcher = server.join("watcher")
        watcher.say("nobody came")
        watcher.expect("watcher: nobody came")


def test_a_websocket_from_the_same_host_is_let_in():
    with Server() as server:
        with connect(server) as connection:
            connection.sendall(f"GET /chat/join?name=bob HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
                               f"Origin: http://127.0.0.1:{server.port}\r\nConnection: keep-alive, Upgrade\r\n"
                               "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 101 ")


# ---- Rooms. ----


def test_rooms_are_listed_shown_and_made():
    with Server() as server:
        bob = server.join("bob")
        bob.say("/join tea")
        bob.expect("* You are in tea, 1 here.")
        bob.say("/topic green")
        bob.expect('User "bob" set the topic: green')
        made = ask(server, "POST", "/rooms", json.dumps({"name": "ops"}), Content_Type="application/json").expect(201)
        listed = ask(server, "GET", "/rooms").expect(200).json
        rooms = {room["name"]: room for room in listed["rooms"]}
        assert set(rooms) == {"lobby", "ops", "tea"} and listed["more"] is False
        tea = ask(server, "GET", "/rooms/TEA").expect(200).json
        assert tea == rooms["tea"] and tea["topic"] == "green" and tea["people"] == 1 and tea["last"] == 2
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", tea["created_at"])
        assert ask(server, "GET", made.headers["location"]).json["name"] == "ops"
        assert ask(server, "GET", f"/rooms/{tea['id'].upper()}").json == tea
        ask(server, "GET", "/rooms/nowhere").expect(404, "no-such-room")
        for body in ("", "[]", "{", '{"name":1}', "{}", '{"name":"a","name":"b"}', '{"name":"a\\u0000"}', "[" * 100):
            ask(server, "POST", "/rooms", body).expect(400, "bad-request")
        ask(server, "POST", "/rooms", '{"name":"a*b"}').expect(400, "bad-room-name")
        ask(server, "POST", "/rooms", '{"name":"ops"}').expect(409, "room-exists")


def test_rooms_that_the_journal_keeps_are_listed_with_their_last_number():
    with Server(journal="sqlite:chat.db") as server:
        bob = server.join("bob")
        bob.say("/join tea")
        bob.expect("* You are in tea, 1 here.")
        bob.say("black")
        bob.expect("bob: black")
        bob.say("/leave")
        bob.expect(HOME)
        def tea_in_list():
            return next(room for room in ask(server, "GET", "/rooms").json["rooms"] if room["name"] == "tea")
        wait_for(lambda: tea_in_list()["last"] == 3, "it is kept that bob left")
        tea = tea_in_list()
        assert tea["people"] == 0, tea
        assert ask(server, "GET", "/rooms/tea").json == tea
        assert ask(server, "GET", "/rooms").json["rooms"][-1] == tea


def test_rooms_of_strangers_are_nobody_elses_business():
    with Server() as server:
        ann = join_events(server, "ann")
        ann.ask("join", id=1)
        pair = ann.until(kind="notice", code="room", id=1)[-1]["room_id"]
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/messages"), ("POST", "/messages"), ("GET", "/stream")):
            ask(server, method, f"/rooms/{pair}{path}", "hi" if method == "POST" else None).expect(404, "no-such-room")
        ask(server, "GET", f"/chat/join?name=bob&room={pair}", **UPGRADE).expect(404, "no-such-room")
        ask(server, "GET", f"/r/{pair}.txt").expect(404, "no-such-room")
        assert [room["name"] for room in ask(server, "GET", "/rooms").json["rooms"]] == ["lobby"]


def test_where_rooms_are_closed_nobody_makes_one():
    with Server("--rooms", "closed") as server:
        ask(server, "POST", "/chat?name=tea").expect(403, "not-allowed")
        ask(server, "POST", "/rooms", '{"name":"tea"}').expect(403, "not-allowed")
        ask(server, "POST", "/rooms/tea/messages", "hi").expect(404, "no-such-room")
        ask(server, "POST", "/rooms/lobby/messages", "hi").expect(201)


def test_a_room_that_waits_for_its_first_guest_has_a_minute():
    """Later it gives way to a new one: tests/tcpserver/core/rooms.c, which need not wait."""
    with Server("--max-rooms", "3") as server:
        ask(server, "POST", "/chat?name=one").expect(201)
        ask(server, "POST", "/rooms", '{"name":"two"}').expect(201)
        for path, body in (("/chat?name=three", ""), ("/rooms", '{"name":"three"}'), ("/rooms/three/messages", "hi")):
            assert "retry-after" in ask(server, "POST", path, body).expect(503, "too-many-rooms").headers
        names = {room["name"] for room in ask(server, "GET", "/rooms").json["rooms"]}
        assert names == {"lobby", "one", "two"}, names


def test_a_kept_room_is_never_missing_nor_made_twice_when_there_are_too_many():
    """The doors took "cannot be opened now" for "there is none", and made a second room of the name."""
    with tempfile.TemporaryDirectory() as folder, \
            Server("--max-rooms", "2", journal=f"sqlite:{folder}/chat.db") as server:
        bob = server.join("bob")
        bob.say("/join tea")
        bob.expect("* You are in tea, 1 here.")
        bob.say("first")
        bob.expect("bob: first")
        room = ask(server, "GET", "/rooms/tea").expect(200).json["id"]
        bob.say("/leave")
        bob.expect(HOME)
        bob.say("/join full")
        bob.expect("* You are in full, 1 here.")
        for method, path, body in (("GET", "/rooms/tea", None), ("GET", f"/rooms/{room}", None), ("GET", "/rooms/TEA/messages", None),
                                   ("POST", "/rooms/tea/messages", "second")):
            assert "retry-after" in ask(server, method, path, body).expect(503, "too-many-rooms").headers
        ask(server, "POST", "/rooms", '{"name":"tea"}').expect(409, "room-exists")
        ask(server, "POST", "/chat?name=Tea").expect(409, "room-exists")
        ask(server, "GET", "/rooms/milk").expect(404, "no-such-room")
        bob.say("/leave")
        bob.expect(HOME)
        ask(server, "POST", "/rooms/tea/messages", "second").expect(201)
        assert ask(server, "GET", "/rooms/tea").json["id"] == room
        assert [message["text"] for message in ask(server, "GET", f"/rooms/{room}/messages").json["messages"]
                if message["kind"] == "message"] == ["first", "second"]


def test_who_made_a_room_may_close_it():
    with Server() as server:
        room = ask(server, "POST", "/rooms", '{"name":"tea"}', Chat_Session=SESSION).json["id"]
        bob = server.join("bob")
        bob.say("/join tea")
        bob.expect("* You are in tea, 1 here.")
        stream = Stream(server, "/rooms/tea/stream?format=jsonl&after=0")
        assert stream.json()["kind"] == "joined"
        refused = ask(server, "DELETE", "/rooms/tea").expect(401, "wrong-password")
        assert refused.headers["www-authenticate"].startswith("Basic realm=")
        ask(server, "DELETE", "/rooms/tea", Chat_Session="1" * 32).expect(403, "not-allowed")
        ask(server, "DELETE", "/rooms/tea", Chat_Session="0" * 32).expect(403, "not-allowed")
        ask(server, "DELETE", "/rooms/lobby", Chat_Session=SESSION).expect(403, "not-allowed")
        ask(server, "DELETE", f"/rooms/{room}", Chat_Session=SESSION.upper(), Authorization=basic("carl")).expect(204)
        bob.expect("chat server: chat room is closing", "* You are in lobby. /join finds a stranger, /rooms lists the rooms.")
        closed = stream.json()
        assert closed["kind"] == "room_closed" and closed["participant"] == "carl"
        stream.client.expect_end()
        ask(server, "GET", "/rooms/tea").expect(404, "no-such-room")
        ask(server, "DELETE", "/rooms/tea", Chat_Session=SESSION).expect(404, "no-such-room")


def test_who_told_no_session_made_no_room_that_another_may_close():
    with Server() as server:
        ask(server, "POST", "/chat?name=tea").expect(201)
        ask(server, "DELETE", "/rooms/tea", Chat_Session="0" * 32).expect(403, "not-allowed")


def test_an_administrator_may_close_any_room():
    with password_file() as file, Server("--admin-password-file", file.name) as server:
        for name in ("a", "b"):
            ask(server, "POST", f"/chat?name={name}", Chat_Session=SESSION).expect(201)
        ask(server, "DELETE", "/rooms/a", Authorization="Bearer wrong").expect(401, "wrong-password")
        ask(server, "DELETE", "/rooms/a", Authorization=basic("root", "wrong")).expect(401, "wrong-password")
        ask(server, "DELETE", "/rooms/a", Authorization="Basic !").expect(401, "wrong-password")
        ask(server, "DELETE", "/rooms/a", Authorization=f"Bearer {PASSWORD}").expect(204)
        ask(server, "DELETE", "/rooms/b", Authorization=basic("root", PASSWORD)).expect(204)
        ask(server, "DELETE", "/rooms/lobby", Authorization=f"Bearer {PASSWORD}").expect(403, "not-allowed")
        ask(server, "POST", "/chat?name=c").expect(201)
        guesser = keep(server)
        for i in range(3):
            refused = ask(server, "DELETE", "/rooms/c", connection=guesser, Authorization=f"Bearer {i}").expect(401)
            assert refused.headers.get("connection") == ("close" if i == 2 else None)
        guesser.close()
        server.log.wait("wrong password", 5)


def test_who_guesses_passwords_waits_and_nobody_else_does():
    with password_file() as password, Server("--admin-password-file", password.name) as server:
        ask(server, "POST", "/chat?name=c").expect(201)
        guesser = keep(server)
        took = []
        for i in range(3):
            began = time.monotonic()
            ask(server, "DELETE", "/rooms/c", connection=guesser, Authorization=f"Bearer {i}").expect(401)
            took.append(time.monotonic() - began)
        guesser.close()
        assert took[0] >= 0.25 and took[1] >= 0.5 and took[2] >= 1, took
        with connect(server) as patient:
            patient.sendall(b"DELETE /rooms/c HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n" * 4)
            server.log.wait("wrong password", 4)
            ask(server, "GET", "/livez").expect(200)
            assert receive_all(patient).count(b"HTTP/1.1 401 ") == 3
        began = time.monotonic()
        ask(server, "DELETE", "/rooms/c", Authorization=f"Bearer {PASSWORD}").expect(204)
        assert BUILD_KIND != "plain" or time.monotonic() - began < 0.25
        with connect(server) as stopped:
            ask(server, "POST", "/chat?name=d").expect(201)
            stopped.sendall(b"DELETE /rooms/d HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n")
            server.log.wait("wrong password", 7)
            server.stop()


# ---- Messages. ----


def test_messages_are_posted_and_seen_by_everybody():
    with Server() as server:
        bob = server.join("bob")
        said = ask(server, "POST", "/rooms/lobby/messages?name=ci", "build failed", Content_Type="text/plain").expect(201)
        bob.expect("ci: build failed")
        assert said.json["kind"] == "message" and said.json["participant"] == "ci" and said.json["text"] == "build failed"
        assert said.headers["location"].endswith(f"/messages?after={said.json['seq'] - 1}&limit=1")
        kept = ask(server, "GET", said.headers["location"]).json
        assert kept["messages"] == [said.json] and kept["next"] == said.json["seq"]
        ask(server, "POST", "/rooms/lobby/messages", "from curl", Content_Type="application/x-www-form-urlencoded").expect(201)
        bob.expect(re.compile("guest#[0-9a-f]{6}: from curl"))
        ask(server, "POST", "/rooms/lobby/messages", "login", Authorization=basic("dan", "ignored")).expect(201)
        bob.expect("dan: login")
        body = json.dumps({"text": "waves", "name": "eve", "action": True})
        ask(server, "POST", "/rooms/lobby/messages?name=other", body, Content_Type="application/json; charset=utf-8").expect(201)
        bob.expect("~ eve waves")
        ask(server, "POST", "/rooms/lobby/messages?name=bob", "taken").expect(201)
        bob.expect(re.compile("bob#[0-9a-f]{6}: taken"))
        ask(server, "POST", "/rooms/lobby/messages?name=J%C3%B6rg", "a\r\nb\n\x07c\xff\n".encode("latin-1")).expect(201)
        bob.expect("Jörg: a␤b␤c\ufffd")
        bob.say("/who")
        bob.expect("* 1 here: bob")


def test_messages_that_cannot_be_are_refused():
    with Server("--max-line", "1000") as server:
        def post(body, path="/rooms/lobby/messages", **headers):
            return ask(server, "POST", path, body, **headers)

        for body in ("", "\n", "\r\n\r\n", "\x01\x02"):
            post(body).expect(400, "bad-request")
        for body in ("{", "[]", "{}", '{"text":1}', '{"text":"a","name":1}', '{"text":"a","action":1}', '{"text":""}',
                     '{"text":"a\\u0000b"}', '{"text":"a","text":"b"}', '{"text":' + "[" * 20, '{"text":"\\ud800"}'):
            post(body, Content_Type="application/json").expect(400, "bad-request")
        post('{"text":"a","name":"a*b"}', Content_Type="application/json").expect(400, "bad-name")
        post("hi", "/rooms/lobby/messages?name=a*b").expect(400, "bad-name")
        post("hi", Authorization=basic("a*b")).expect(400, "bad-name")
        post("hi", Content_Type="multipart/form-data; boundary=x").expect(415, "unsupported-type")
        post("hi", "/rooms/a*b/messages").expect(400, "bad-room-name")
        post("hi", "/rooms/0123456789abcdef0123/messages").expect(404, "no-such-room")
        post("hi", "/rooms/a%2Fb/messages").expect(400, "bad-room-name")
        post("x" * 1000).expect(201)
        post("x" * 1001).expect(413, "line-too-long")
        post(b"\xff" * 334).expect(413, "line-too-long")
        post("x" + "\n" * 400 + "x").expect(413, "line-too-long")
        post(json.dumps({"text": "x" + "\n" * 400 + "x"}), Content_Type="application/json").expect(413, "line-too-long")
        post("hi", Idempotency_Key="k" * 201).expect(400, "bad-request")
        post("hi", Origin="http://elsewhere.example").expect(403, "foreign-origin")
        assert [message["text"] for message in ask(server, "GET", "/rooms/lobby/messages").json["messages"]] == ["x" * 1000]


def test_a_megabyte_is_refused_and_the_reason_is_read():
    with Server() as server:
        head = b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
        parse(raw(server, head + b"x" * 1000000))[0].expect(413, "line-too-long")
        with connect(server) as connection:
            connection.sendall(head[:-2] + b"Expect: 100-continue\r\n\r\n")
            parse(receive_all(connection))[0].expect(413, "line-too-long")
        chunks = b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        parse(raw(server, chunks + (b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 60))[0].expect(413, "line-too-long")
        ask(server, "POST", "/rooms/lobby/messages", "still here").expect(201)


@on_each_journal
def test_a_room_that_is_posted_to_is_made_and_keeps_what_was_said(journal):
    with Server(journal=journal) as server:
        ask(server, "POST", "/rooms/ops/messages", "one").expect(201)
        ask(server, "POST", "/rooms/ops/messages", "two").expect(201)
        stream = Stream(server, "/rooms/ops/stream?after=0")
        assert stream.line().endswith(": one") and stream.line().endswith(": two")
        stream.client.close()
        wait_for(lambda: server.threads() <= 8, "the stream's thread has ended")
        assert [m["text"] for m in ask(server, "GET", "/rooms/ops/messages").json["messages"]] == ["one", "two"]


@on_each_journal
def test_a_key_makes_a_message_said_once(journal):
    with Server(journal=journal) as server:
        bob = server.join("bob")
        first = ask(server, "POST", "/rooms/lobby/messages?name=ci", "hi", Idempotency_Key="a").expect(201)
        again = ask(server, "POST", "/rooms/lobby/messages?name=ci", "hi", Idempotency_Key="a").expect(200)
        assert again.json == first.json and again.headers["idempotency-replayed"] == "true"
        assert "idempotency-replayed" not in first.headers
        reused = ask(server, "POST", "/rooms/lobby/messages?name=ci", "other", Idempotency_Key="a").expect(422, "key-reused")
        assert "idempotency-replayed" not in reused.headers and "location" not in reused.headers
        other_room = ask(server, "POST", "/rooms/tea/messages?name=ci", "other", Idempotency_Key="a").expect(201)
        assert other_room.json["seq"] == 1
        ask(server, "POST", "/rooms/lobby/messages?name=ci", "end", Idempotency_Key="b").expect(201)
        bob.expect("ci: hi", "ci: end")


@on_each_journal
def test_a_key_is_that_of_its_author(journal):
    with Server(journal=journal) as server:
        def post(name, text, **headers):
            query = f"?name={name}" if name else ""
            return ask(server, "POST", "/rooms/lobby/messages" + query, text, Idempotency_Key="1", **headers)

        first = post("ann", "hi").expect(201)
        assert post("bob", "hi").expect(201).json["participant"] == "bob"
        post("bob", "other").expect(422, "key-reused")
        post("ann", "mine", Chat_Session=SESSION).expect(201)
        assert post("ann", "hi").expect(200).json == first.json
        guest = post("", "hi").expect(201)
        assert post("", "hi").expect(200).json == guest.json  # whatever it is called this time
        taken = server.join("dan")
        renamed = post("dan", "hi").expect(201)
        taken.say("/quit")
        taken.rest()
        assert renamed.json["participant"].startswith("dan#")
        assert post("dan", "hi").expect(200).json == renamed.json


@on_each_journal
def test_nobody_takes_the_place_of_a_key_with_a_session_made_for_it(journal):
    with Server(journal=journal) as server:
        room = ask(server, "GET", "/rooms/lobby").json["id"].encode()
        for hashed in (room + b"k", room + b"\0ci\0" + bytes(16) + b"k"):
            session = hashlib.sha256(hashed).hexdigest()[:32]
            eve = come_back(server, f"eve{len(hashed)}", session)
            for number in (1, 2**63 - 1):
                eve.ask("send", text="eve was here", id=number)
                eve.until(kind="notice", code="said", id=number)
        said = ask(server, "POST", "/rooms/lobby/messages?name=ci", "hi", Idempotency_Key="k").expect(201)
        assert said.json["text"] == "hi"


def test_a_key_counts_after_the_server_was_killed():
    with tempfile.TemporaryDirectory() as folder:
        for life, status in enumerate((201, 200)):
            with Server(journal=f"sqlite:{folder}/chat.db") as server:
                reply = ask(server, "POST", "/rooms/ops/messages?name=ci", "hi", Idempotency_Key="a").expect(status)
                assert reply.json["seq"] == 1, (life, reply)
                server.send_signal(signal.SIGKILL)
                server.ended()


def test_one_key_at_once_from_many_is_said_once():
    with Server(journal="sqlite:chat.db") as server:
        replies = []
        threads = [threading.Thread(target=lambda: replies.append(
            ask(server, "POST", "/rooms/ops/messages?name=ci", "hi", Idempotency_Key="a"))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(reply.status for reply in replies) == [200] * 19 + [201]
        assert {reply.json["seq"] for reply in replies} == {1}
        assert len(ask(server, "GET", "/rooms/ops/messages").json["messages"]) == 1


@on_each_journal
def test_messages_are_read_in_pages(journal):
    with Server(journal=journal) as server:
        connection = keep(server)
        for i in range(1, 251):
            ask(server, "POST", "/rooms/ops/messages?name=ci", f"message {i}", connection=connection).expect(201)
        def read(query):
            return ask(server, "GET", "/rooms/ops/messages" + query, connection=connection).expect(200)
        assert seqs(read("")) == list(range(151, 251))
        assert seqs(read("?limit=1")) == [250]
        assert seqs(read("?before=101")) == list(range(1, 101))
        assert seqs(read("?before=50&limit=10")) == list(range(40, 50))
        assert seqs(read("?after=10&before=20")) == list(range(11, 20))
        assert seqs(read("?before=1")) == [] and seqs(read("?before=0")) == []
        assert seqs(read("?after=0&limit=1000")) == list(range(1, 251))
        nothing = read("?after=250").json
        assert nothing["messages"] == [] and nothing["next"] == 250 and nothing["last"] == 250
        beyond = read("?after=1000").json
        assert beyond["messages"] == [] and beyond["next"] == 250 and beyond["last"] == 250
        got, after = [], 0
        while True:
            page = read(f"?after={after}&limit=33").json
            if not page["messages"]:
                break
            got += [message["text"] for message in page["messages"]]
            after = page["next"]
        assert got == [f"message {i}" for i in range(1, 251)]
        for query in ("?limit=0", "?limit=1001", "?limit=x", "?after=-1", "?after=1.5", "?before=", "?after=99999999999999999999"):
            ask(server, "GET", "/rooms/ops/messages" + query, connection=connection).expect(400, "usage")
        connection.close()


def test_a_large_reading_is_streamed_to_a_slow_reader():
    with Server(journal="sqlite:chat.db") as server:
        connection = keep(server)
        for i in range(300):
            ask(server, "POST", "/rooms/ops/messages?name=ci", f"{i:03} " + "ü" * 30000, connection=connection).expect(201)
        connection.close()
        before = server.memory()
        with connect(server) as slow:
            slow.sendall(b"GET /rooms/ops/messages?limit=1000&after=0 HTTP/1.1\r\nHost: a\r\n\r\n")
            data = slow.recv(1000)
            grown = server.memory() - before
            assert BUILD_KIND != "plain" or grown < 4 << 20, f"the server has grown by {grown} bytes"
            slow.settimeout(DEADLINE)
            slow.shutdown(socket.SHUT_WR)
            data += receive_all(slow)
        assert b"Transfer-Encoding: chunked" in data.split(b"\r\n\r\n")[0]
        reader = keep(server)
        reply = ask(server, "GET", "/rooms/ops/messages?limit=1000&after=0", connection=reader)
        assert [m["text"][:3] for m in reply.json["messages"]] == [f"{i:03}" for i in range(300)]
        assert len(data) > 300 * 60000 and data.endswith(b"\r\n0\r\n\r\n")
        reader.close()


def post_much(server, count):
    connection = keep(server)
    for _ in range(count):
        ask(server, "POST", "/rooms/lobby/messages?name=ci", "x" * 60000, connection=connection).expect(201)
    connection.close()


def ask_and_do_not_read(server):
    client = server.connect(receive_buffer=4096)
    client.raw(b"GET /rooms/lobby/messages?limit=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
    return client


def test_who_asks_for_much_and_reads_nothing_is_let_go():
    with Server("--peer-timeout", "3") as server:
        post_much(server, 100)
        wait_for(lambda: server.threads() <= 3, "the connection that posted is over")
        before = server.descriptors(), server.threads()
        stalled = [ask_and_do_not_read(server) for _ in range(5)]
        wait_for(lambda: server.descriptors() >= before[0] + 5, "they are asking")
        wait_for(lambda: (server.descriptors(), server.threads()) <= before, "they are gone")
        for client in stalled:
            client.close()


def test_the_server_is_alive_when_others_hold_the_descriptors():
    with Server(descriptors=100) as server:
        post_much(server, 100)
        for _ in range(30):
            ask_and_do_not_read(server)
        wait_for(lambda: ask(server, "GET", "/rooms").status == 500, "they hold what others may have")
        for path in ("/livez", "/readyz"):
            for _ in range(3):
                assert ask(server, "GET", path).expect(200).body == b"ok\n"
                assert ask(server, "HEAD", path).expect(200).body == b""
        parse(raw(server, b"GET /livezz HTTP/1.1\r\nHost: a\r\n\r\n"))[0].expect(500, "no-memory")
        ask(server, "GET", "/rooms").expect(500, "no-memory")
        bob, ann = server.join("bob"), server.join("ann")
        bob.say("hi")
        ann.expect("bob: hi")
        assert server.log.find("accepting paused") is None


def test_who_reads_slowly_but_reads_gets_all():
    with Server("--peer-timeout", "3") as server:
        post_much(server, 10)
        client = ask_and_do_not_read(server)
        began, size = time.monotonic(), 0
        client.socket.settimeout(DEADLINE)
        while time.monotonic() - began < 5:
            size += len(client.socket.recv(2000))
            time.sleep(0.05)
        while not client.socket.recv(1 << 16).endswith(b"\r\n0\r\n\r\n"):
            pass


    with Server(journal="sqlite:chat.db") as server:
        bob = server.join("bob")
        for i in range(3):
            bob.say(f"line {i}")
        bob.say("/me <b>waves</b>")
        bob.expect("bob: line 0", "bob: line 1", "bob: line 2", "~ bob <b>waves</b>")
        text = ask(server, "GET", "/r/lobby.txt").expect(200)
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert [line.partition("] ")[2] for line in text.text.splitlines()] == [
            "bob: line 0", "bob: line 1", "bob: line 2", "~ bob <b>waves</b>"]
        ask(server, "GET", "/r/nowhere.txt").expect(404, "no-such-room")
        for path in ("/", "/r/lobby", "/r/nowhere", "/chat.css", "/chat.mjs"):
            page = ask(server, "GET", path).expect(200)
            assert page.headers["cache-control"] == "no-cache" and "default-src 'none'" in page.headers["content-security-policy"]
            same = ask(server, "GET", path, If_None_Match=page.headers["etag"]).expect(304)
            assert same.body == b"" and same.headers["etag"] == page.headers["etag"]
            ask(server, "GET", path, If_None_Match='"other"').expect(200)
            head = ask(server, "HEAD", path).expect(200)
            assert head.body == b"" and head.headers["content-length"] == str(len(page.body))


# ---- Streams. ----


def test_a_room_that_is_called_like_a_file_has_its_page():
    with Server() as server:
        ask(server, "POST", "/rooms/x/messages?name=ci", "in x").expect(201)
        assert ask(server, "GET", "/r/x.txt").expect(200).text.endswith("ci: in x\n")
        ask(server, "POST", "/rooms/x.txt/messages?name=ci", "in x.txt").expect(201)
        assert ask(server, "GET", "/r/x.txt").expect(200).headers["content-type"].startswith("text/html")
        assert ask(server, "GET", "/r/x.txt.txt").expect(200).text.endswith("ci: in x.txt\n")
        assert ask(server, "GET", "/r/x").expect(200).headers["content-type"].startswith("text/html")


def test_a_stream_of_events_has_numbers_and_goes_on_after_them():
    with Server() as server:
        bob = server.join("bob")
        stream = Stream(server, "/rooms/lobby/stream?after=0", ["Accept: text/event-stream"])
        assert stream.status == 200 and stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["connection"] == "close" and stream.headers["cache-control"] == "no-store"
        assert stream.client.line() == "retry: 2000"
        number, joined = stream.event()
        assert (number, joined["kind"], joined["event_type"]) == (1, "joined", "participant_joined")
        bob.say("one")
        assert stream.event() == (2, stream_object(server, 2))
        stream.client.close()
        bob.say("two")
        bob.expect("bob: one", "bob: two")
        again = Stream(server, "/rooms/lobby/stream?after=0&format=sse", ["Last-Event-ID: 2"])
        number, two = again.event()
        assert number == 3 and two["text"] == "two" and "history" not in two
        bob.say("/who")
        bob.expect("* 1 here: bob")  # nobody sees who reads
        server.send_signal(signal.SIGTERM)
        number, farewell = again.event()
        assert number is None and farewell["event_type"] == "server_shutting_down"
        again.client.expect_end()
        assert server.ended() == 0


def test_a_slow_stream_of_a_closed_room_gets_all_that_was_said():
    """What its socket did not take at once was lost, the words that close the room with it."""
    texts = [f"{i} " + "x" * 500 for i in range(4000)]
    with Server("--lag-memory", "64k") as server:
        bob = server.join("bob")
        bob.say("/new-room tea")
        bob.expect("* You are in tea, 1 here.")
        stream = Stream(server, "/rooms/tea/stream?format=text", receive_buffer=4096)
        say_all(bob, texts)
        bob.say("/delete-room tea")
        bob.expect("chat server: chat room is closing")
        lines = [line for line in stream.client.rest() if not line.startswith("* You are ")]  # so many messages behind
        assert lines == [*(f"bob: {text}" for text in texts), "chat server: chat room is closing"], (len(lines), lines[-1])


def test_the_number_of_a_room_that_was_made_anew_is_another_ones():
    with Server() as server:
        def stream(place, query=""):
            return Stream(server, "/rooms/tea/stream?history=all&format=sse" + query, [f"Last-Event-ID: {place}"] if place else [])

        def post(text):
            ask(server, "POST", "/rooms/tea/messages?name=ci", text).expect(201)

        room = ask(server, "POST", "/rooms", '{"name":"tea"}', Chat_Session=SESSION).expect(201).json["id"]
        for i in range(5):
            post(f"old {i}")
        first = stream("")
        for i in range(5):
            first.event()
            assert first.place == f"{i + 1}:{room}"
        post("old 5")
        first.event()
        assert first.place == f"6:{room}"  # also of one that comes while it reads
        for again in (stream(f"5:{room}"), stream("", f"&after=5:{room}"), stream("5"), stream("", "&after=5")):
            assert again.event()[0] == 6
        ask(server, "DELETE", "/rooms/tea", Chat_Session=SESSION).expect(204)
        anew = ask(server, "POST", "/rooms", '{"name":"tea"}').expect(201).json["id"]
        post("new")
        for again in (stream(f"6:{room}"), stream("", f"&after=6:{room}")):
            number, event = again.event()
            assert number == 1 and event["text"] == "new" and again.place == f"1:{anew}"
        for wrong in ("x", "1:", ":" + room, "1:" + room[1:], "1:" + room + "0", "1 :" + room, "1:x" + room[1:]):
            ask(server, "GET", "/rooms/tea/stream", Last_Event_ID=wrong).expect(400, "usage")


def stream_object(server, seq):
    return ask(server, "GET", f"/rooms/lobby/messages?after={seq - 1}&limit=1").json["messages"][0]


def test_a_stream_has_the_form_that_is_asked_for():
    with Server("--history", "1", history=None) as server:
        bob = server.join("bob")
        bob.say("<hi>")
        bob.expect("bob: <hi>")
        for headers, query, kind in (([], "", "text/plain"), (["Accept: */*"], "", "text/plain"),
                                     (["Accept: application/json"], "", "application/x-ndjson"),
                                     (["Accept: application/x-ndjson"], "", "application/x-ndjson"),
                                     (["Accept: text/html, text/event-stream"], "", "text/event-stream"),
                                     (["Accept: text/event-stream"], "?format=text", "text/plain"),
                                     ([], "?format=jsonl", "application/x-ndjson"), ([], "?format=sse", "text/event-stream")):
            stream = Stream(server, "/rooms/lobby/stream" + query, headers)
            assert stream.headers["content-type"].startswith(kind), (headers, query, stream.headers)
            if kind == "text/plain":
                stream.client.expect(re.compile(r"\[.*Z\] bob: <hi>"))
            elif kind == "text/event-stream":
                assert stream.event()[1]["history"] is True
            else:
                assert stream.json()["text"] == "<hi>"
            stream.client.close()
        ask(server, "GET", "/rooms/lobby/stream?format=xml").expect(400, "usage")
        ask(server, "GET", "/rooms/lobby/stream?after=x").expect(400, "usage")
        ask(server, "GET", "/rooms/lobby/stream?history=x").expect(400, "usage")
        ask(server, "GET", "/rooms/lobby/stream", Last_Event_ID="x").expect(400, "usage")
        ask(server, "GET", "/rooms/nowhere/stream").expect(404, "no-such-room")
        head = ask(server, "HEAD", "/rooms/lobby/stream").expect(200)
        assert head.body == b"" and head.headers["content-type"].startswith("text/plain")
        all_of_it = Stream(server, "/rooms/lobby/stream?history=all&format=jsonl")
        assert all_of_it.json()["text"] == "<hi>"
        old = Stream(server, "/rooms/lobby/stream?history=0", version="1.0")
        bob.say("now")
        old.client.expect("bob: now")


@on_each_journal
def test_a_slow_reader_of_a_stream_loses_nothing(journal):
    count = scaled(4000)
    with Server("--lag-memory", "64K", journal=journal) as server:
        slow = Stream(server, "/rooms/lobby/stream?format=sse&after=0", receive_buffer=4096)
        poster = keep(server)
        for i in range(count):
            ask(server, "POST", "/rooms/lobby/messages?name=ci", f"{i} " + "x" * 1000, connection=poster).expect(201)
        poster.close()
        seen = []
        while len(seen) < count:
            number, _ = slow.event()
            if number is not None:
                seen.append(number)
        assert seen == list(range(1, count + 1))


def test_what_a_reader_of_a_stream_sends_means_nothing():
    with Server() as server:
        stream = Stream(server, "/rooms/lobby/stream")
        stream.client.raw(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
        ask(server, "POST", "/rooms/lobby/messages?name=ci", "hi").expect(201)
        stream.client.expect("ci: hi")
        stream.client.half_close()
        stream.client.expect_end()


# ---- HTTP itself. ----


def test_a_connection_stays_for_many_requests_in_one_packet_too():
    with Server() as server:
        connection = keep(server)
        for i in range(50):
            assert ask(server, "GET", "/ping", connection=connection).body == b"pong"
        connection.close()
        with connect(server) as pipelined:
            posts = b"".join(b"POST /rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d" % i
                             for i in range(200))
            pipelined.sendall(posts + b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = receive_all(pipelined)
        for i in range(200):
            reply, data = parse(data)
            assert reply.expect(201).json["text"] == f"{i:03}"
        reply, data = parse(data)
        assert reply.body == b"pong" and reply.headers["connection"] == "close" and data == b""


def test_old_and_odd_requests_are_understood():
    with Server() as server:
        for request in (b"GET /ping HTTP/1.0\r\n\r\n",
                        b"GET http://chat.example/ping HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\r\n",
                        b"GET /ping?x=y#z HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
                        b"GET /%70ing HTTP/1.1\r\nHost: [::1]:7777\r\nConnection: close\r\n\r\n"):
            reply, rest = parse(raw(server, request))
            assert reply.status == 200 and reply.body == b"pong" and rest == b"", request
        with connect(server) as connection:
            connection.sendall(b"POST /rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                               b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
            assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"hi")
            parse(receive_all(connection))[0].expect(201)
        chunked = (b"POST /rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                   b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: x\r\n\r\n")
        assert parse(raw(server, chunked))[0].expect(201).json["text"] == "hello"


def test_requests_byte_by_byte_are_requests():
    with Server() as server:
        request = (b"POST /rooms/lobby/messages?name=ci HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                   b"2\r\nhi\r\n0\r\n\r\n")
        with connect(server) as connection:
            for i in range(len(request)):
                connection.sendall(request[i:i + 1])
            parse(receive_all(connection))[0].expect(201)


def test_what_could_be_understood_in_two_ways_is_refused():
    post = b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\n"
    hidden = b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with Server() as server:
        for request in (post + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
                        post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
                        post + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\nhi" + hidden,
                        post + b"Content-Length: 2\r\n Content-Length: 20\r\n\r\nhi" + hidden,
                        post + b"Content-Length : 2\r\n\r\nhi" + hidden,
                        post + b"Content-Length: 0x2\r\n\r\nhi" + hidden,
                        post + b"X: y\nContent-Length: 2\r\n\r\nhi" + hidden,
                        post + b"X: y\rContent-Length: 2\r\n\r\nhi" + hidden,
                        post + b"X: \0\r\n\r\n" + hidden,
                        b"GET /ping HTTP/1.1\n\n", b"GET /ping HTTP/1.1\r\n\r\n",
                        b"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                        b"GET /ping HTTP/1.1\r\nHost: a<b\r\n\r\n",
                        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
                        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
                        post + b"Transfer-Encoding: chunked\r\n\r\n2\nhi\r\n0\r\n\r\n" + hidden,
                        post + b"Transfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n" + hidden):
            reply, rest = parse(raw(server, request))
            reply.expect(400, "bad-request")
            assert rest == b"" and reply.headers["connection"] == "close", request
        parse(raw(server, post + b"Transfer-Encoding: gzip\r\n\r\n" + hidden))[0].expect(501, "bad-request")
        parse(raw(server, b"GET /ping HTTP/3.0\r\nHost: a\r\n\r\n"))[0].expect(505, "bad-request")
        assert ask(server, "GET", "/rooms/lobby/messages").json["messages"] == []


def test_headers_have_limits():
    with Server() as server:
        for header in (b"X: " + b"x" * 16384, b"X: y\r\n" * 101, b"\r\n".join(b"X%d: y" % i for i in range(5000))):
            reply = parse(raw(server, b"GET /ping HTTP/1.1\r\nHost: a\r\n" + header + b"\r\n\r\n"))[0]
            reply.expect(431, "bad-request")
        parse(raw(server, b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"))[0].expect(431, "bad-request")
        parse(raw(server, b"GET /ping HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: " + b"x" * 16000 + b"\r\n\r\n"))[0].expect(200)
        parse(raw(server, b"GET /ping?" + b"a=b&" * 17 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[0].expect(
            400, "bad-request")
        parse(raw(server, b"GET " + b"/x" * 9 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))[0].expect(400, "bad-request")


def test_a_request_that_dribbles_is_ended_and_who_is_quiet_is_not_waited_for():
    with Server("--name-timeout", "1") as server:
        def dribble(begin, piece):
            with connect(server) as connection:
                connection.sendall(begin)
                connection.settimeout(0.1)
                data = b""
                while True:
                    try:
                        got = connection.recv(1000)
                        if not got:
                            return data
                        data += got
                    except TimeoutError:
                        try:
                            connection.sendall(piece)
                        except OSError:
                            pass
        for begin, piece in ((b"GET / HTTP/1.1\r\nX: ", b"y"),
                             (b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", b"y"),
                             (b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n")):
            reply = parse(dribble(begin, piece))[0].expect(408, "timeout")
            assert reply.headers["connection"] == "close"
    with Server("--name-timeout", "1", listen=("127.0.0.1:0=http",)) as server:
        with connect(server) as quiet:
            assert receive_all(quiet) == b""


def test_a_crowd_that_dribbles_harms_nobody():
    count = scaled(400)
    with Server("--name-timeout", "5") as server:
        before = server.descriptors()
        crowd = [connect(server) for _ in range(count)]
        for connection in crowd:
            connection.sendall(b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nX-")
        wait_for(lambda: server.descriptors() >= before + count, "all are in")
        assert server.descriptors() <= before + count + 8, "who only dribbles costs one descriptor"
        for i in range(20):
            ask(server, "POST", "/rooms/lobby/messages?name=ci", f"{i}").expect(201)
        for connection in crowd:
            parse(receive_all(connection))[0].expect(408, "timeout")
            connection.close()


def test_an_idle_connection_costs_one_descriptor():
    with Server() as server:
        before = server.descriptors()
        connection = keep(server)
        ask(server, "GET", "/ping", connection=connection).expect(200)
        wait_for(lambda: server.descriptors() == before + 1, "the engine rests")
        ask(server, "GET", "/ping", connection=connection).expect(200)
        connection.close()


def test_methods_are_told():
    with Server() as server:
        for path, allowed in (("/rooms", "GET, HEAD, POST, OPTIONS"), ("/rooms/x", "GET, HEAD, DELETE, OPTIONS"),
                              ("/ping", "GET, HEAD, OPTIONS"), ("/", "GET, HEAD, OPTIONS")):
            told = ask(server, "OPTIONS", path).expect(204)
            assert told.headers["allow"] == allowed and "access-control-allow-origin" not in told.headers
            assert ask(server, "PATCH", path).expect(405, "method-not-allowed").headers["allow"] == allowed
        ask(server, "OPTIONS", "*").expect(204)
        ask(server, "OPTIONS", "/nothing").expect(404, "not-found")
        assert ask(server, "HEAD", "/ping").expect(200).headers["content-length"] == "4"


def test_pages_elsewhere_are_kept_out_unless_they_are_allowed():
    friend, stranger = "https://friend.example", "https://stranger.example"
    with Server("--allow-origin", friend) as server:
        own = f"http://127.0.0.1:{server.port}"
        preflight = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "idempotency-key"}
        told = ask(server, "OPTIONS", "/rooms/x/messages", Origin=friend, **preflight).expect(204)
        assert told.headers["access-control-allow-origin"] == friend and "POST" in told.headers["access-control-allow-methods"]
        assert "Idempotency-Key" in told.headers["access-control-allow-headers"] and told.headers["vary"] == "Origin"
        told = ask(server, "OPTIONS", "/rooms/x/messages", Origin=stranger, **preflight).expect(204)
        assert not [name for name in told.headers if name.startswith("access-control")]
        for origin, status, allowed in ((friend, 201, friend), (own, 201, None), (stranger, 403, None), ("null", 403, None)):
            said = ask(server, "POST", "/rooms/lobby/messages", "hi", Origin=origin).expect(status)
            assert said.headers.get("access-control-allow-origin") == allowed
        read = ask(server, "GET", "/rooms", Origin=stranger).expect(200)
        assert "access-control-allow-origin" not in read.headers
        stream = Stream(server, "/rooms/lobby/stream", [f"Origin: {friend}"])
        assert stream.headers["access-control-allow-origin"] == friend
        for origin, status in ((friend, b"101"), (own, b"101"), (stranger, b"403")):
            with connect(server) as connection:
                connection.sendall(f"GET /chat/join?name=x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nOrigin: {origin}\r\n"
                                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
                assert connection.recv(100).split()[1] == status, origin
    with Server("--allow-origin", "*") as server:
        assert ask(server, "GET", "/rooms", Origin=stranger).headers["access-control-allow-origin"] == "*"


def test_a_page_is_that_of_the_server_if_scheme_host_and_port_are_the_same():
    def post(port, origin, host, context=None):
        body = b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        connection = socket.create_connection(("127.0.0.1", port), DEADLINE)
        if context is not None:
            connection = context.wrap_socket(connection)
        with connection:
            connection.sendall(body % (host.encode(), origin.encode()))
            return parse(receive_all(connection))[0].status

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Server("--tls", "self", journal="sqlite:chat.db") as server:
        for origin, host, plain, secure in (
                ("http://a.example", "a.example", 201, 403), ("https://a.example", "a.example", 403, 201),
                ("http://a.example", "A.Example:80", 201, 403), ("http://a.example:80", "a.example", 201, 403),
                ("https://a.example", "a.example:443", 403, 201), ("https://a.example:443", "a.example", 403, 201),
                ("http://a.example", "a.example:443", 403, 403), ("http://a.example", "a.example:8080", 403, 403),
                ("http://a.example:8080", "a.example:8080", 201, 403), ("http://[::1]", "[::1]:80", 201, 403),
                ("http://", "a.example", 403, 403), ("a.example", "a.example", 403, 403), ("http://:80", ":80", 403, 403)):
            assert post(server.port, origin, host) == plain, (origin, host)
            assert post(server.port, origin, host, context) == secure, (origin, host)


def test_nothing_of_a_request_comes_back_as_markup_or_as_a_header():
    evil = "<svg\"onload='alert(1)'>"
    with Server() as server:
        for path in (f"/{evil}", f"/rooms/{evil}", f"/rooms/{evil}/messages", f"/chat/join?room={evil}", f"/r/{evil}.txt",
                     f"/rooms/lobby/messages?limit={evil}", "/rooms/x%0d%0aSet-Cookie:%20a=b", f"/rooms/lobby/stream?format={evil}"):
            data = raw(server, f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Evil: {evil}\r\nOrigin: {evil}\r\nReferer: {evil}\r\n"
                               "Upgrade: websocket\r\nConnection: close\r\n\r\n".encode())
            assert evil.encode() not in data and b"Set-Cookie" not in data, data
            reply = parse(data)[0]
            assert reply.headers["x-content-type-options"] == "nosniff" and "content-security-policy" in reply.headers
            assert reply.headers["referrer-policy"] == "no-referrer"
        data = raw(server, b"GET /rooms/nowhere HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b"evil.example" not in data
        made = raw(server, b"POST /chat?name=x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b"evil.example" not in made


def test_the_state_of_the_server_is_told():
    with Server() as server:
        assert ask(server, "GET", "/livez").expect(200).text.strip() == "ok"
        assert ask(server, "GET", "/readyz").expect(200).text.strip() == "ok"
        assert set(ask(server, "GET", "/version").json) >= {"name", "version"}
        assert ask(server, "GET", "/openapi.yaml").text == open(f"{ROOT}/docs/openapi.yaml", encoding="utf-8").read()
        metrics = ask(server, "GET", "/metrics").expect(200)
        assert "chat_connections" in metrics.text and metrics.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_answers_tell_when_they_were_given():
    with Server("--max-line", "64") as server:
        answers = {
            "a whole answer": b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "a request that is wrong": b"GET / HTTP/1.1\r\n\r\n",
            "too much": b"POST /rooms/lobby/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n",
        }
        for what, request in answers.items():
            reply = parse(raw(server, request))[0]
            told = email.utils.parsedate_to_datetime(reply.headers["date"])
            assert reply.headers["date"] == email.utils.format_datetime(told, usegmt=True), (what, reply)
            assert abs(time.time() - told.timestamp()) < DEADLINE, (what, reply)
        stream = Stream(server, "/rooms/lobby/stream?format=text")
        assert email.utils.parsedate_to_datetime(stream.headers["date"])


def test_what_a_browser_has_is_not_sent_and_no_other_size_told():
    with Server() as server:
        connection = keep(server)
        page = ask(server, "GET", "/", connection=connection).expect(200)
        for _ in range(2):
            same = ask(server, "GET", "/", connection=connection, If_None_Match=page.headers["etag"]).expect(304)
            assert same.body == b"" and same.headers.get("content-length", page.headers["content-length"]) == page.headers["content-length"]
        ask(server, "GET", "/livez", connection=connection).expect(200)
        connection.close()
        answer = raw(server, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nIf-None-Match: *\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 304 ") and answer.endswith(b"\r\n\r\n")


def test_who_does_not_fit_in_is_told_in_http():
    with Server("--max-clients", "1", listen=("127.0.0.1:0=http",)) as server:
        with connect(server) as first:
            first.sendall(b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n")
            assert first.recv(1000).startswith(b"HTTP/1.1 200 ")
            reply = parse(raw(server, b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n"))[0].expect(503, "server-full")
            assert reply.headers["retry-after"] == "5"


def test_requests_end_in_good_order_when_the_server_stops():
    with Server() as server:
        idle = keep(server)
        ask(server, "GET", "/ping", connection=idle).expect(200)
        half = connect(server)
        half.sendall(b"GET /ping HT")
        server.stop()
        assert receive_all(half) == b""
        half.close()
        idle.close()


# ---- With curl. ----


def curl(server, *arguments, **options):
    try:
        return subprocess.run(["curl", "-sS", "--max-time", str(DEADLINE), *arguments], capture_output=True, text=True,
                              timeout=2 * DEADLINE, check=True, **options).stdout
    except FileNotFoundError:
        skip("there is no curl")


def test_curl_just_works():
    with Server() as server:
        url = f"http://127.0.0.1:{server.port}"
        bob = server.join("bob")
        bob.say("/join ops")
        bob.expect("* You are in ops, 1 here.")
        said = json.loads(curl(server, "-d", "build failed", f"{url}/rooms/ops/messages"))
        bob.expect(f"{said['participant']}: build failed")
        curl(server, "-u", "ci:", "-d", "again", f"{url}/rooms/ops/messages")
        bob.expect("ci: again")
        assert "ops" in curl(server, f"{url}/rooms")
        assert curl(server, "-0", f"{url}/ping") == "pong"
        assert curl(server, "-T", "-", "-X", "POST", f"{url}/rooms/ops/messages", input="x" * 60000).count("x") >= 60000
        assert curl(server, f"{url}/ping", f"{url}/ping") == "pongpong"


def test_the_examples_of_the_protocol_are_true():
    page = open(f"{ROOT}/docs/PROTOCOL.md", encoding="utf-8").read().partition("\n## HTTP\n")[2].partition("\n## ")[0]
    examples = []
    for line in page.splitlines():
        if line.startswith("    $ "):
            examples.append((line[6:], []))
        elif line.startswith("    ") or (line == "" and examples):
            examples[-1][1].append(line[4:])
    varying = re.compile(r"[0-9a-f]{20}|[0-9]{4}-[0-9][0-9]-[0-9T:.-]+Z")
    assert len(examples) > 8
    curl(None, "--version")
    with Server() as server:
        for command, wanted in examples:
            wanted = "\n".join(wanted).rstrip("\n").split("\n")
            running = subprocess.Popen(["sh", "-c", "exec " + command.replace("localhost:7777", f"127.0.0.1:{server.port}")],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            shown = [running.stdout.readline().rstrip("\n") for _ in wanted]  # a stream has no end
            running.kill()
            running.communicate()
            assert varying.sub("x", "\n".join(shown)) == varying.sub("x", "\n".join(wanted)), (command, shown)


def test_the_bot_loses_nothing_and_says_nothing_twice_when_the_server_is_killed():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    count = 60
    curl(None, "--version")
    with tempfile.TemporaryDirectory() as folder:
        def life():
            return Server(listen=(f"127.0.0.1:{port}",), journal=f"sqlite:{folder}/chat.db")
        with life() as server:
            ask(server, "POST", "/rooms", '{"name":"ops"}').expect(201)
            bot = subprocess.Popen([f"{ROOT}/docs/bot.sh", f"http://127.0.0.1:{port}", "ops", "ci", f"{folder}/last"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
            try:
                texts = [f"line {i}" for i in range(count)]
                threading.Thread(target=lambda: (bot.stdin.write("\n".join(texts) + "\n"), bot.stdin.flush())).start()
                seen = []
                for _ in range(3):
                    while len(seen) < count and (not seen or len(seen) % 20 != 0):
                        seen.append(json.loads(bot.stdout.readline()))
                    server.send_signal(signal.SIGKILL)
                    server.ended()
                    server.__exit__(None, None, None)
                    server = life()
                    if len(seen) < count:
                        seen.append(json.loads(bot.stdout.readline()))
                while len(seen) < count:
                    seen.append(json.loads(bot.stdout.readline()))
                kept = ask(server, "GET", "/rooms/ops/messages?after=0&limit=1000").json["messages"]
                assert [message["text"] for message in kept] == texts
                assert [message["seq"] for message in seen] == list(range(1, count + 1))
                assert all(message["participant"].startswith("ci") for message in seen)
            finally:
                os.killpg(bot.pid, signal.SIGKILL)
                bot.wait()
                server.__exit__(None, None, None)


main()
