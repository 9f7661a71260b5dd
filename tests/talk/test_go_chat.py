"""WebSocket, /: Go-Chat's wire. The bugs are those of its list in what is known of the predecessors."""

import json
import re
import threading
from pathlib import Path

from talk import BUILD_KIND, TAG, Server, main, on_each_journal, skip
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, GoChat, close_payload, converse, examples, frame, join, say_all

PAGE = Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md"


def lines_of(count, size=0):
    return [f"line {i} " + "x" * size for i in range(count)]


# ---- The history. ----

def test_an_empty_room_has_an_empty_history():
    with Server() as server:
        bob = GoChat(server)
        assert bob.history == []
        bob.is_alive()


@on_each_journal
def test_the_first_frame_is_the_whole_history_in_order(journal):
    with Server(journal=journal) as server:
        ann = server.join("ann")
        for line in ('hello "you"', "/me waves", "back\\slash", "/topic tea", "/nick Ann", "κόσμε"):
            ann.say(line)
        ann.expect('ann: hello "you"')
        ann.say("the end")
        while ann.line() != "Ann: the end":
            pass
        bob = GoChat(server)
        assert bob.history == [("ann", 'hello "you"'), ("ann", "~ waves"), ("ann", "back\\slash"), ("Ann", "κόσμε"),
                               ("Ann", "the end")]
        ann.say("now")
        bob.expect_message("Ann", "now")


def test_a_short_history_is_one_frame():
    with Server() as server:
        ann = server.join("ann")
        ann.say("hello")
        ann.expect("ann: hello")
        opcode, payload, fin = GoChat(server, reads=False).next_frame()
        assert (opcode, json.loads(payload), fin) == (TEXT, [{"username": "ann", "message": "hello"}], True)


@on_each_journal
def test_a_long_history_is_one_message_in_fragments(journal):
    with Server(journal=journal) as server:
        ann = server.join("ann")
        texts = lines_of(3000, 500)
        say_all(ann, texts)
        bob = GoChat(server, reads=False)
        parts = [bob.next_frame()]
        while not parts[-1][2]:
            parts.append(bob.next_frame())
        assert [opcode for opcode, _, _ in parts] == [TEXT] + [CONTINUATION] * (len(parts) - 1)
        assert 20 < len(parts) < 100 and max(len(payload) for _, payload, _ in parts) < 100000
        history = json.loads(b"".join(payload for _, payload, _ in parts))
        assert history == [{"username": "ann", "message": text} for text in texts]
        ann.say("now")
        bob.expect_message("ann", "now")


def test_the_history_is_the_last_ten_thousand_messages():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        texts = lines_of(10050)
        say_all(ann, texts)
        ann.say("/nick Ann")
        ann.expect('User "ann" is now "Ann"')
        assert GoChat(server).history == [("ann", text) for text in texts[50:]]


def test_a_history_of_the_longest_messages_takes_little_memory():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        texts = lines_of(400, 65000)
        for i in range(0, len(texts), 10):
            say_all(ann, texts[i:i + 10])
        before = server.memory()
        bob = GoChat(server, reads=False, receive_buffer=65536)
        assert not bob.next_frame()[2]  # it has begun, and waits for its reader
        assert server.memory() - before < 16 << 20, f"{before} bytes before, {server.memory()} now"
        assert GoChat(server).history == [("ann", text) for text in texts]
        assert server.memory() - before < 16 << 20, f"{before} bytes before, {server.memory()} now"


@on_each_journal
def test_between_history_and_what_is_said_now_nothing_is_lost_or_doubled(journal):
    """Bug 8: a message sent just before somebody joins could be missing."""
    with Server(journal=journal) as server:
        ann = server.join("ann")
        stop = threading.Event()
        said = 0

        def write():
            nonlocal said
            while not stop.is_set():
                ann.say(str(said))
                ann.expect(f"ann: {said}")
                said += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(40):
                bob = GoChat(server)
                got = [int(message) for _, message in bob.history]
                while len(got) < len(bob.history) + 30:
                    got.append(int(bob.message()[1]))
                assert got == list(range(len(got))), got
                bob.client.close()
        finally:
            stop.set()
            writer.join()


# ---- Messages. ----

def test_everybody_but_the_author_gets_a_message():
    with Server() as server:
        ann = GoChat(server)
        bob = GoChat(server)
        line = server.join("line")
        ann.send("ann", "hello")
        bob.expect_message("ann", "hello")
        line.expect('User "ann" just joined the chat!', "ann: hello")
        bob.send("bob", "hello, ann")
        ann.expect_message("bob", "hello, ann")
        line.expect('User "bob" just joined the chat!', "bob: hello, ann")
        line.say("hello, you two")
        ann.expect_message("line", "hello, you two")
        bob.expect_message("line", "hello, you two")


@on_each_journal
def test_two_who_send_at_once_get_just_what_the_other_said(journal):
    """Bug 1: they lost messages, and got some of their own."""
    with Server(journal=journal) as server:
        one, two, third = GoChat(server), GoChat(server), GoChat(server)
        burst = {name: b"".join(frame(TEXT, json.dumps({"username": name, "message": f"{name} {i}"})) for i in range(100))
                 for name in ("u0", "u1")}
        senders = [threading.Thread(target=client.raw, args=(burst[name],)) for client, name in ((one, "u0"), (two, "u1"))]
        for sender in senders:
            sender.start()
        from_u0 = [("u0", f"u0 {i}") for i in range(100)]
        from_u1 = [("u1", f"u1 {i}") for i in range(100)]
        assert [one.message() for _ in range(100)] == from_u1
        assert [two.message() for _ in range(100)] == from_u0
        seen = [third.message() for _ in range(200)]
        assert [entry for entry in seen if entry[0] == "u0"] == from_u0
        assert [entry for entry in seen if entry[0] == "u1"] == from_u1
        for sender in senders:
            sender.join()
        third.send("third", "the end")
        for client in (one, two):
            client.expect_message("third", "the end")


def test_who_came_and_went_is_a_pong_that_nobody_asked_for():
    with Server() as server:
        bob = GoChat(server)
        ann = server.join("ann")
        assert bob.next_frame() == (PONG, b"", True)
        ann.say("/topic tea")
        assert bob.next_frame() == (PONG, b"", True)
        ann.say("/quit")
        assert bob.next_frame() == (PONG, b"", True)


def test_who_only_reads_is_not_seen():
    with Server() as server:
        ann = server.join("ann")
        bob = GoChat(server)
        ann.say("/who")
        ann.expect("* 1 here: ann")
        bob.client.close()
        carl = GoChat(server)
        carl.send("carl", "hello")
        ann.expect('User "carl" just joined the chat!', "carl: hello")
        ann.say("/who")
        ann.expect("* 2 here: ann, carl")
        carl.leave()
        ann.expect('User "carl" just left the chat (normally)')


def test_all_text_is_text():
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        for text, wanted in (("/who", "/who"), ("//x", "//x"), ("!exit", "!exit"), ("n/n", "n/n"), ("one\ntwo\r\n", "one␤two␤"),
                             ("a\u0000b\x1b[31m", "ab[31m"), ('"\\', '"\\'), ("😀", "😀")):
            bob.send("bob", text)
            if text == "/who":
                line.expect('User "bob" just joined the chat!')
            line.expect(f"bob: {wanted}")


def test_an_empty_message_is_dropped():
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        for text in ("", "\u0000", "\x07"):
            bob.send("bob", text)
        bob.send("bob", " ")
        line.expect('User "bob" just joined the chat!', "bob:  ")


# ---- Names. ----

def test_nobody_speaks_in_the_name_of_another():
    """Bug 11: the author's name was whatever the client wrote."""
    with Server() as server:
        ann = GoChat(server)
        third = GoChat(server)
        ann.send("ann", "it is me")
        third.expect_message("ann", "it is me")
        mallory = GoChat(server)
        mallory.send("ANN", "no, me")
        name, message = third.message()
        assert re.fullmatch(f"ANN{TAG}", name) and message == "no, me"
        mallory.send("ANN", "again")
        assert third.message() == (name, "again")


def test_another_username_is_another_name():
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        bob.send("bob", "one")
        line.expect('User "bob" just joined the chat!', "bob: one")
        bob.send(" bob ", "two")
        line.expect("bob: two")
        bob.send("rob", "three")
        line.expect('User "bob" is now "rob"', "rob: three")
        bob.send("line", "four")
        line.expect(re.compile(f'User "rob" is now "line{TAG}"'), re.compile(f"line{TAG}: four"))


def test_a_name_that_is_not_allowed_is_explained():
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        for name in ("", "b*b", "x" * 51, "a\u0000b", "\u202ebob"):
            bob.send(name, "hello")
            bob.expect_message("server", re.compile("bad-name: .*"))
        bob.send("bob", "hello")
        line.expect('User "bob" just joined the chat!', "bob: hello")
        bob.send("b*b", "dropped")
        bob.expect_message("server", re.compile("bad-name: .*"))
        bob.send("bob", "still bob")
        line.expect("bob: still bob")


# ---- What is wrong. ----

def test_what_is_no_message_is_an_error_and_the_connection_stays():
    """Bug 6: what could not be read was the message before, again."""
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        bob.send("bob", "one")
        line.expect('User "bob" just joined the chat!', "bob: one")
        for wrong in ("", "plain", "{", "[]", "{}", '{"username":"bob"}', '{"message":"x"}', '{"username":1,"message":"x"}',
                      '{"username":"bob","message":null}', '{"username":"bob","message":["x"]}', "[" * 10000, '{"a":' * 5000,
                      '{"username":"bob","message":"\\ud800"}', "null", '"text"', "{}{}"):
            bob.say(wrong)
            bob.expect_message("server", re.compile("bad-request: .*"))
        bob.send("bob", "two")
        line.expect("bob: two")


def test_a_binary_message_closes_with_a_close_frame():
    """Bug 10: the payload of the close frame was a text, and no code."""
    with Server() as server:
        for name in (None, "bob"):
            bob = GoChat(server)
            if name:
                bob.send(name, "hello")
            bob.frame(BINARY, b"\0")
            bob.expect_close_soon(1003)


def test_a_close_is_answered_and_a_ping_too():
    with Server() as server:
        bob = GoChat(server)
        bob.frame(PING, "x")
        bob.expect_pong("x")
        bob.frame(CLOSE, close_payload(1001))
        bob.expect_close(1001)


def test_what_is_told_to_one_alone_comes_from_the_server_or_names_both():
    with Server() as server:
        line = server.join("line")
        bob = GoChat(server)
        bob.send("bob", "hello")
        line.expect('User "bob" just joined the chat!', "bob: hello")
        line.say("/dm bob psst")
        line.expect("[line -> bob] psst")
        bob.expect_message("line -> bob", "psst")
        line.say("/invite bob")
        bob.expect_message("server", re.compile("line invites you to lobby; .*"))


def test_a_server_that_stops_says_so_and_closes_with_1001():
    with Server() as server:
        clients = [GoChat(server) for _ in range(3)]
        clients[1].send("bob", "hello")
        clients[0].expect_message("bob", "hello")
        server.send_signal(15)
        for client in clients[::2]:
            while client.message() != ("server", "the server is stopping"):
                pass
            client.expect_close(1001)
        assert server.ended() == 0


def test_a_server_that_stops_while_a_history_is_sent_ends_the_array_first():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        for _ in range(20):
            say_all(ann, lines_of(10, 60000))
        bob = GoChat(server, reads=False, receive_buffer=65536)
        assert not bob.next_frame()[2]
        server.send_signal(15)
        while not bob.next_frame()[2]:
            pass
        bob.expect_message("server", "the server is stopping")
        bob.expect_close(1001)
        assert server.ended() == 0


# ---- Slow and dead. ----

def test_a_client_that_is_gone_while_two_send_harms_nobody():
    """Bug 2: the whole server hung."""
    with Server() as server:
        for turn in range(5):
            clients = [GoChat(server) for _ in range(4)]
            for client, name in zip(clients[:2], ("u0", "u1")):
                client.raw(b"".join(frame(TEXT, json.dumps({"username": name, "message": f"{turn} {i}"})) for i in range(200)))
            for client in clients[:3]:
                client.client.reset()
        last = GoChat(server)
        join(server, "bob").say("hello")
        while last.message() != ("bob", "hello"):
            pass


def test_who_speaks_and_is_gone_before_it_has_read_its_history_harms_nobody():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        for _ in range(20):
            say_all(ann, lines_of(10, 60000))
        hello = frame(TEXT, json.dumps({"username": "bob", "message": "hello"}))
        for turn in range(20):
            bob = GoChat(server, reads=False, early=hello * (turn % 3), receive_buffer=65536)
            bob.raw(hello * 10)
            if turn % 2:
                bob.client.reset()
            else:
                bob.client.half_close()
                bob.next_frame()
                bob.client.close()
        ann.say("still here")
        while ann.line() != "ann: still here":
            pass
        server.assert_lives()


def test_a_slow_reader_gets_everything_but_its_own():
    with Server("--lag-memory", "64K", journal="sqlite:chat.db") as server:
        slow = GoChat(server, receive_buffer=65536)
        ann = server.join("ann")
        slow.send("slow", "mine")
        ann.expect('User "slow" just joined the chat!', "slow: mine")
        texts = lines_of(6000, 1000)
        for i in range(0, len(texts), 1000):
            say_all(ann, texts[i:i + 1000])
            slow.send("slow", f"mine {i}")
        assert [slow.message() for _ in texts] == [("ann", text) for text in texts]
        slow.is_alive()


def test_an_idle_reader_costs_no_time():
    """Bug 3: each connection kept a processor busy."""
    with Server("--peer-timeout", "3") as server:
        clients = [GoChat(server) for _ in range(50)]
        before = server.cpu_seconds()
        while clients[0].pings < 2:
            opcode, payload, _ = clients[0].next_frame()
            assert opcode == PING
            clients[0].pings += 1
            clients[0].frame(PONG, payload)
        assert server.cpu_seconds() - before < 0.5


def test_the_examples_of_the_page_are_true():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.say("hello")
        bob.expect("ann: hello")
        bob.say("/me waves")
        bob.expect("~ bob waves")
        _, talk, alone = examples(PAGE)
        carl = GoChat(server, reads=False)
        converse(carl, talk[:2])
        ann.expect('User "bob" just joined the chat!', "ann: hello", "~ bob waves", 'User "carl" just joined the chat!',
                   "carl: hi")
        ann.say("hi, carl")
        converse(carl, talk[2:])
        carl.say("nonsense")
        converse(carl, alone[:1])
        ann.say("/dm carl psst")
        converse(carl, alone[1:])


main()
