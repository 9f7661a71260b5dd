"""The gRPC door, frame by frame: what any client may do with HTTP/2, and what the server makes of it."""

import signal
import socket
import struct
import urllib.request

from http2 import (DEADLINE_EXCEEDED, INVALID_ARGUMENT, NOT_FOUND, OK, PERMISSION_DENIED, PREFACE, RESOURCE_EXHAUSTED, UNAUTHENTICATED,
                   UNAVAILABLE, UNIMPLEMENTED, Peer,
                   field, fields, framed, join, text)
from secure import SecureClient, context
from talk import BUILD_KIND, DEADLINE, MAX_LINE, Server, main, raise_descriptor_limit, scaled, skip, temporary_file, wait_for
from test_tls import Encrypted

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
CHAT = "/rpc.ChatService/Chat"
TALK = "/tcpchat.v1.Chat/Talk"
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY = 0, 1, 7, 8, 11, 12


def chat(peer, room, name):
    """A call of Chat that is in the room."""
    call = peer.call(CHAT)
    call.send(join(room, name))
    while True:
        got = call.message()
        if got == (name, "Has entered the chat"):
            return call


def own_address(peer):
    return "%s:%d" % peer.socket.getsockname()


def watch(peer, *more):
    call = peer.call(WATCH, *more)
    call.send(b"", end=True)
    assert fields(call.bytes()) == {1: 1}  # SERVING
    return call


# ---- Calls and their status. ----

def test_a_call_is_answered_with_its_type_and_its_status():
    with Server() as server:
        peer = Peer(server)
        call = peer.call(CHECK, kind="application/grpc+proto")
        call.send(b"", end=True)
        assert fields(call.bytes()) == {1: 1}
        assert call.status() == (OK, "")
        assert call.headers == {":status": "200", "content-type": "application/grpc", "grpc-accept-encoding": "identity"}
        assert call.trailers == {"grpc-status": "0"}


def test_a_call_that_fails_has_one_block_of_headers():
    with Server() as server:
        peer = Peer(server)
        answer, status = peer.ask(CHECK, field(1, "nobody"))
        assert answer is None and status == (NOT_FOUND, "unknown service")
        call = peer.calls[1]
        assert call.trailers is None and call.headers[":status"] == "200"


def test_an_unknown_method_is_unimplemented():
    with Server() as server:
        peer = Peer(server)
        for path, named in (("/rpc.ChatService/Nothing", "/rpc.ChatService/Nothing"), ("/", "/"), ("/a%b", "/a%25b"),
                            ("/" + "x" * 1000, "/" + "x" * 158)):
            assert peer.ask(path)[1] == (UNIMPLEMENTED, f"unknown method {named}"), path
        assert peer.ask(CHECK)[1] == (OK, "")


def test_what_is_not_grpc_is_answered_as_http():
    with Server() as server:
        peer = Peer(server)
        for kind in ("application/json", "text/plain", "application/grpc-web", "application/grpc+json", ""):
            call = peer.call(CHECK, kind=kind)
            call.raw(b"{}", end=True)
            call.wait_end()
            assert call.headers[":status"] == "415" and call.headers["content-type"].startswith("text/plain"), kind
            assert b"application/grpc" in call.data
        call = peer.call("/", method="GET", kind="", end=True)
        call.wait_end()
        assert call.headers[":status"] == "405" and call.headers["allow"] == "POST"
        # Who has not said all is told that it may stop.
        call = peer.call(CHECK, kind="application/json")
        call.wait_end()
        assert call.headers[":status"] == "415"
        assert peer.ask(CHECK)[1] == (OK, "")


def test_a_call_over_http_1_is_refused_before_its_body_ends():
    """Its body is a stream that may never end: the client waited for an answer for ever."""
    with Server() as server:
        for length in (b"Content-Length: 1000", b"Transfer-Encoding: chunked"):
            with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
                connection.sendall(b"POST /rpc.ChatService/Chat HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n" + length + b"\r\n\r\n")
                answer = b""
                while more := connection.recv(65536):
                    answer += more
                assert answer.startswith(b"HTTP/1.1 505 ") and b"gRPC is spoken over HTTP/2 alone" in answer, answer


def test_compressed_messages_are_unimplemented():
    with Server() as server:
        peer = Peer(server)
        call = peer.call(CHECK, ("grpc-encoding", "gzip"))
        assert call.status()[0] == UNIMPLEMENTED
        call = peer.call(CHECK, ("grpc-encoding", "identity"))
        call.send(b"", end=True)
        assert call.status() == (OK, "")
        call = peer.call(CHECK)
        call.raw(framed(b"x", compressed=1), end=True)
        assert call.status()[0] == UNIMPLEMENTED


def test_a_message_that_is_too_large_is_refused_with_both_sizes():
    with Server() as server:
        peer = Peer(server)
        call = peer.call(CHECK)
        call.raw(struct.pack(">BI", 0, 1 << 31))
        code, words = call.status()
        assert code == RESOURCE_EXHAUSTED and str(1 << 31) in words and str(MAX_LINE + 4096) in words, words
        # One that is sent to its end does not hold up the others.
        call = peer.call(CHECK)
        call.send(bytes(MAX_LINE + 4097), end=True)
        assert call.status()[0] == RESOURCE_EXHAUSTED
        assert peer.ask(CHECK)[1] == (OK, "")


def test_what_is_no_message_is_an_invalid_argument():
    with Server() as server:
        peer = Peer(server)
        for broken in (b"\xff", b"\x0a\x05ab", field(1, b"\xff\xfe"), field(1, b"a\0b"), b"\x0b"):
            assert peer.ask(CHECK, broken)[1][0] == INVALID_ARGUMENT, broken
        call = peer.call(CHECK, end=True)
        assert call.status()[0] == INVALID_ARGUMENT
        call = peer.call(CHECK)
        call.raw(framed(b"abc")[:-1], end=True)
        assert call.status()[0] == INVALID_ARGUMENT


def test_messages_may_come_in_whatever_pieces():
    with Server() as server:
        peer = Peer(server)
        bob = server.join("bob")
        ann = chat(peer, "lobby", "ann")
        bob.expect('User "ann" just joined the chat!')
        for byte in framed(text("one")) + framed(text("two")):
            ann.raw(bytes([byte]))
        bob.expect("ann: one", "ann: two")
        ann.raw(framed(text("three")) + framed(text("four")))
        bob.expect("ann: three", "ann: four")


# ---- Ends. ----

def test_a_deadline_ends_a_call():
    with Server() as server:
        peer = Peer(server)
        bob = server.join("bob")
        call = peer.call(CHAT, ("grpc-timeout", "300m"))
        call.send(join("lobby", "ann"))
        bob.expect('User "ann" just joined the chat!')
        assert call.status()[0] == DEADLINE_EXCEEDED
        bob.expect('User "ann" just left the chat (connection lost)')
        call = peer.call(CHAT, ("grpc-timeout", "0n"))
        assert call.status()[0] == DEADLINE_EXCEEDED
        call = peer.call(CHAT, ("grpc-timeout", "soon"))
        assert call.status()[0] == INVALID_ARGUMENT
        assert peer.ask(CHECK, b"", ("grpc-timeout", "99999999H"))[1] == (OK, "")


def test_a_deadline_needs_no_window():
    with Server() as server:
        peer = Peer(server, window=0)
        call = peer.call(WATCH, ("grpc-timeout", "300m"))
        call.send(b"", end=True)
        assert call.status()[0] == DEADLINE_EXCEEDED and call.received == 0


def test_who_cancels_has_left():
    with Server() as server:
        peer = Peer(server)
        bob = server.join("bob")
        ann = chat(peer, "lobby", "ann")
        bob.expect('User "ann" just joined the chat!')
        ann.send(text("bye"))
        bob.expect("ann: bye")
        ann.reset()
        bob.expect('User "ann" just left the chat (normally)')
        eve = chat(peer, "lobby", "eve")  # a name is free a moment after the others are told
        bob.expect('User "eve" just joined the chat!')
        eve.reset(2)  # INTERNAL_ERROR
        bob.expect('User "eve" just left the chat (connection lost)')
        assert peer.ask(CHECK)[1] == (OK, "")


def test_who_cancels_with_much_unread_has_left():
    with Server() as server:
        peer = Peer(server, window=100, grants=False)
        bob = server.join("bob")
        ann = chat(peer, "lobby", "ann")
        bob.expect('User "ann" just joined the chat!')
        bob.raw(b"".join(b"line %d\n" % i for i in range(2000)))
        for i in range(2000):
            bob.expect(f"bob: line {i}")
        ann.reset()
        bob.expect('User "ann" just left the chat (normally)')


def test_a_connection_that_ends_ends_its_calls():
    with Server() as server:
        bob = server.join("bob")
        for name, end, how in (("ann", Peer.close, "normally"), ("eve", Peer.reset, "connection lost")):
            peer = Peer(server)
            chat(peer, "lobby", name)
            bob.expect(f'User "{name}" just joined the chat!')
            end(peer)
            bob.expect(f'User "{name}" just left the chat ({how})')


def test_who_has_said_all_goes_on_reading():
    with Server() as server:
        peer = Peer(server)
        bob = server.join("bob")
        ann = chat(peer, "lobby", "ann")
        bob.expect('User "ann" just joined the chat!')
        ann.send(text("my last"), end=True)
        bob.expect("ann: my last")
        for i in range(3):
            bob.say(f"line {i}")
            assert ann.message() == ("bob", f"line {i}")
            bob.expect(f"bob: line {i}")
        ann.reset()
        bob.expect('User "ann" just left the chat (normally)')


def test_a_server_that_stops_says_goaway_and_how_each_call_ended():
    with Server() as server:
        peer = Peer(server)
        call = watch(peer)
        idle = Peer(server)
        assert idle.ask(CHECK)[1] == (OK, "")
        server.send_signal(signal.SIGTERM)
        status = call.status()
        assert status == (UNAVAILABLE, "the server is stopping"), status
        for one in (peer, idle):
            one.wait_end()
            assert one.goaway == (NO_ERROR, "the server is stopping"), one.goaway
        assert server.ended() == 0


def test_a_server_that_stops_does_not_wait_for_a_shut_window():
    with Server() as server:
        peer = Peer(server, window=0)
        call = peer.call(WATCH)
        call.send(b"", end=True)
        peer.receive_until(lambda: call.headers is not None)
        server.stop(seconds=15)


# ---- Windows. ----

def test_what_does_not_fit_into_a_window_comes_when_it_opens():
    count = scaled(20000)
    with Server() as server:
        peer = Peer(server, window=100, grants=False)
        call = peer.call(CHAT)
        call.send(join("lobby", "ann"))
        assert call.message() == ("ann", "Has entered the chat")
        bob = server.join("bob")
        for start in range(0, count, 1000):
            bob.raw(b"".join(b"line %d\n" % i for i in range(start, start + 1000)))
            for i in range(start, start + 1000):
                bob.expect(f"bob: line {i}")
        peer.h2.increment_flow_control_window((1 << 31) - 1 - 200, call.id)
        peer.h2.increment_flow_control_window((1 << 31) - 1 - 70000)
        peer.flush()
        assert call.message() == ("bob", "Has entered the chat")
        for i in range(count):
            assert call.message() == ("bob", f"line {i}"), i


def test_a_shut_window_holds_up_no_other_call():
    with Server() as server:
        peer = Peer(server, grants=False)
        slow = chat(peer, "lobby", "slow")
        fast = chat(peer, "lobby", "fast")
        bob = server.join("bob")
        assert fast.message() == ("bob", "Has entered the chat")
        peer.h2.increment_flow_control_window((1 << 31) - 1 - 65535)
        peer.h2.increment_flow_control_window((1 << 30), fast.id)
        peer.flush()
        for i in range(2000):
            bob.say(f"{i} " + 100 * "x")
            assert fast.message()[1].startswith(f"{i} ")
        assert slow.received <= 65535
        slow.reset()
        assert peer.ask(CHECK)[1] == (OK, "")


def test_the_end_of_a_call_needs_no_window():
    with Server() as server:
        peer = Peer(server, window=0)
        for _ in range(3):
            assert peer.ask(CHECK, field(1, "nobody"))[1] == (NOT_FOUND, "unknown service")
        # A window that the one message fills just so.
        peer = Peer(server, window=7, grants=False)
        call = peer.call(CHECK)
        call.send(b"", end=True)
        assert call.status() == (OK, ""), call.data


# ---- Limits. ----

def test_there_are_a_hundred_calls_at_a_time():
    with Server() as server:
        peer = Peer(server)
        for _ in range(100):
            watch(peer)
        assert peer.settings[3] == 100
        peer.h2.remote_settings[3] = 1000  # a peer that does not heed it
        peer.h2.remote_settings.acknowledge()
        more = peer.call(WATCH)
        more.wait_end()
        assert more.reset_code in (REFUSED_STREAM, -1), more.reset_code
        if more.reset_code == -1:
            assert peer.goaway[0] == PROTOCOL_ERROR
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_headers_that_are_too_large_are_refused():
    with Server() as server:
        peer = Peer(server)
        assert peer.ask(CHECK)[1] == (OK, "")
        call = peer.call(CHECK, *((f"x-{i}", "y" * 1000) for i in range(17)))
        call.wait_end()
        assert call.headers[":status"] == "431"
        assert peer.ask(CHECK)[1] == (OK, "")


def test_credentials_that_are_meant_for_others_are_no_hindrance():
    with Server() as server:
        peer = Peer(server)
        for name in ("authorization", "chat-session"):
            assert peer.ask(CHECK, b"", (name, "Bearer " + "y" * 4000))[1] == (OK, ""), name


def test_a_flood_of_headers_ends_the_connection_alone():
    with Server() as server:
        peer = Peer(server)
        assert peer.ask(CHECK)[1] == (OK, "")
        # One long field that the table of the compression has, named again and again.
        call = peer.call(CHECK, *(("x-bomb", "y" * 3000) for _ in range(3000)))
        call.wait_end()
        assert call.reset_code == -1 and peer.goaway[0] == ENHANCE_YOUR_CALM, (call.reset_code, peer.goaway)
        server.log.wait(rf'warning HTTP/2 connection ended from="{own_address(peer)}" why="the client .*" code="ENHANCE_YOUR_CALM"')
        # Continuations without an end.
        peer = Peer(server)
        piece = b"\x00\x01x\x01y" * 100
        head = struct.pack(">I", len(piece))[1:]
        try:
            peer.socket.sendall(head + b"\x01\x00" + struct.pack(">I", 1) + piece)
            for _ in range(20000):
                peer.socket.sendall(head + b"\x09\x00" + struct.pack(">I", 1) + piece)
        except OSError:
            pass
        peer.wait_end()
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_streams_that_are_opened_and_reset_without_end_end_the_connection_alone():
    with Server() as server:
        server.join("ann")  # a sanitizer has a thread of its own from the first other one on
        threads, descriptors = server.threads(), server.descriptors()
        peer = Peer(server)
        try:
            for _ in range(5000):
                peer.call(CHAT).reset()
        except OSError:
            pass
        peer.close()
        wait_for(lambda: server.threads() == threads and server.descriptors() == descriptors, "all their threads are gone")
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_pings_are_answered_and_a_flood_of_them_is_not_kept():
    with Server() as server:
        peer = Peer(server)
        peer.h2.ping(b"12345678")
        peer.flush()
        peer.receive_until(lambda: peer.pongs == [b"12345678"])
        flood = b"\0\0\x08\x06\0\0\0\0\0" + b"abcdefgh"
        before = server.memory()
        peer.socket.settimeout(5)
        try:
            for _ in range(2000):
                peer.socket.sendall(1000 * flood)  # and nothing is read
        except OSError:
            pass  # it takes no more, or has closed
        assert server.memory() - before < 5_000_000 or BUILD_KIND != "plain"
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_calls_count_as_clients():
    with Server("--max-clients", "3") as server:
        peer = Peer(server)
        calls = [watch(peer) for _ in range(3)]
        assert peer.ask(CHECK)[1] == (UNAVAILABLE, "the server has no room for one more call; try again later")
        calls[0].reset()
        wait_for(lambda: peer.ask(CHECK)[1] == (OK, ""), "room for a call")


def test_calls_count_for_the_address_of_their_connection():
    with Server("--max-per-address", "2") as server:
        peer = Peer(server)
        calls = [watch(peer) for _ in range(2)]
        assert peer.ask(CHECK)[1] == (UNAVAILABLE, "the server has no room for one more call; try again later")
        assert server.connect().rest(reset_allowed=True)[0].startswith("! server-full: ")
        calls[0].reset()
        wait_for(lambda: peer.ask(CHECK)[1] == (OK, ""), "room for a call")


def test_calls_that_are_refused_do_not_fill_the_log():
    with Server("--max-clients", "1") as server:
        peer = Peer(server)
        watch(peer)
        for _ in range(300):
            assert peer.ask(CHECK)[1][0] == UNAVAILABLE
        server.log.wait(f'turned away from="{own_address(peer)}" why="as many clients as allowed are here"')
        lines = server.log.text().count("turned away")
        assert lines < 100, lines  # one a second


# ---- Passwords. ----

def guess(peer, password, *more):
    return peer.ask("/rpc.ChatService/DeleteChatRoom", field(1, "tea"), ("authorization", f"Bearer {password}"), *more)[1]


def room_of_another(server):
    ann = server.join("ann")
    ann.say("/new-room tea")
    ann.expect("* You are in tea, 1 here.")


def test_the_third_wrong_password_ends_a_connection_whichever_calls_they_came_by():
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        room_of_another(server)
        peer = Peer(server)
        for _ in range(2):
            assert guess(peer, "wrong")[0] == UNAUTHENTICATED
        talk = peer.call(TALK)
        talk.send(field(2, field(2, "bob")))
        talk.send(field(21, field(1, "wrong")))
        assert talk.status()[0] == PERMISSION_DENIED
        peer.wait_end()
        assert peer.goaway == (NO_ERROR, "too many wrong passwords"), peer.goaway
        assert guess(Peer(server), "secret") == (OK, "")


def test_whoever_guesses_faster_than_it_is_answered_has_three_tries():
    with temporary_file("secret\n") as path, Server("--admin-password-file", path) as server:
        room_of_another(server)
        peer = Peer(server)
        calls = []
        for i in range(60):
            deadline = (("grpc-timeout", "1m"),) if i % 2 else ()
            calls.append(peer.call("/rpc.ChatService/DeleteChatRoom", ("authorization", "Bearer wrong"), *deadline))
        last = peer.call("/rpc.ChatService/DeleteChatRoom", ("authorization", "Bearer secret"))
        try:
            for call in calls:
                call.raw(framed(field(1, "tea")), end=True)
            for call in calls[::2]:  # they have a status, or the connection has ended
                call.wait_end()
            last.raw(framed(field(1, "tea")), end=True)
            last.wait_end()
        except OSError:
            pass
        assert not last.trailers or last.trailers["grpc-status"] != "0"
        peer.wait_end()
        server.log.wait("wrong password", count=3)
        assert server.log.text().count("wrong password") == 3
        assert guess(Peer(server), "secret") == (OK, "")


# ---- Who does not keep to the rules. ----

def test_a_connection_that_never_calls_is_let_go():
    with Server("--name-timeout", "1") as server:
        peer = Peer(server)
        peer.wait_end()
        assert peer.goaway == (NO_ERROR, "no call came"), peer.goaway
        called = Peer(server)
        call = watch(called)
        other = Peer(server)
        other.wait_end()  # which takes longer than the first one had
        call.reset()
        assert called.ask(CHECK)[1] == (OK, "")


def test_garbage_after_the_preface_ends_the_connection_alone():
    with Server() as server:
        server.join("ann")  # a sanitizer has a thread of its own from the first other one on
        threads = server.threads()
        for garbage in (b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x04\0\0\0\0\x05", b"\0\0\x05\x00\x00\0\0\0\x01hello",
                        b"\0\0\0\x04\0\0\0\0\0" + b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0", b"\0\x50\0\x04\0\0\0\0\0" + bytes(0x5000)):
            with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as raw:
                raw.sendall(PREFACE + garbage)
                got = b""
                try:
                    while data := raw.recv(65536):
                        got += data
                except ConnectionResetError:
                    pass
                assert got[3:4] in (b"", b"\x04", b"\x07"), got  # settings or goaway, if anything
        wait_for(lambda: server.threads() == threads, "their threads are gone")
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_a_thousand_clients_that_vanish_leave_nothing():
    count = scaled(1000)
    raise_descriptor_limit(count + 100)
    with Server(descriptors=3 * count + 200) as server:
        server.join("ann")  # a sanitizer has a thread of its own from the first other one on
        threads, descriptors = server.threads(), server.descriptors()
        peers = [Peer(server) for _ in range(count)]
        calls = [watch(peer) for peer in peers]
        assert server.threads() == threads + 2 * len(calls)
        for peer in peers:
            peer.reset()
        wait_for(lambda: server.threads() == threads and server.descriptors() == descriptors, "nothing is left of them")
        assert Peer(server).ask(CHECK)[1] == (OK, "")


def test_an_idle_call_takes_less_than_60_kilobytes():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory of its own")
    count = 500
    raise_descriptor_limit(count + 100)
    with Server(descriptors=3 * count + 200) as server:
        first = Peer(server)
        chat(first, "lobby", "first")
        before = server.memory()
        peers = [Peer(server) for _ in range(count)]
        for i, peer in enumerate(peers):
            call = peer.call(CHAT)
            call.send(join("lobby", f"member{i}"))
            while call.message()[0] != f"member{i}":
                pass
        wait_for(lambda: (server.memory() - before) / count < 60 * 1024, "less than 60 KB each")
        print(f"{(server.memory() - before) / count / 1024:.1f} KiB each")


# ---- Where it is. ----

def test_grpc_comes_through_tls_by_its_alpn_name():
    with Encrypted() as (server, _):
        peer = Peer(server, secure=True)
        assert peer.socket.selected_alpn_protocol() == "h2"
        bob = server.join("bob")
        ann = chat(peer, "lobby", "ann")
        bob.expect('User "ann" just joined the chat!')
        bob.say("hello")
        assert ann.message() == ("bob", "hello")
        bob.expect("bob: hello")
        peer.close()
        bob.expect('User "ann" just left the chat (normally)')
        peer = Peer(server, secure=True)
        chat(peer, "lobby", "eve")
        bob.expect('User "eve" just joined the chat!')
        peer.reset()
        bob.expect('User "eve" just left the chat (connection lost)')
        for offered, chosen in ((("h2", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1"), (("x",), None)):
            other = SecureClient(("127.0.0.1", server.port), with_context=context(protocols=offered))
            assert other.socket.selected_alpn_protocol() == chosen, offered
            other.close()


def test_where_tls_is_required_http2_is_told_so():
    with Encrypted("--require-tls") as (server, _):
        peer = Peer(server)
        peer.wait_end()
        assert peer.goaway == (INADEQUATE_SECURITY, "this server speaks only TLS")


def test_connections_and_calls_are_counted():
    def metric(door):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=DEADLINE) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f'chat_connections{{door="{door}"}} '))

    with Server() as server:
        peer = Peer(server)
        call = watch(peer)
        assert metric("http2") == 1 and metric("grpc") == 1
        call.reset()
        wait_for(lambda: metric("grpc") == 0, "the call is over")
        assert metric("http2") == 1


if __name__ == "__main__":
    main()
