"""
WebSocket: RFC 6455 to the letter, after the list of the Autobahn test suite (its sections 1 to 7 and 9). The numbers in the
names of the tests are theirs.
"""

import os
import re
import time

from events import parse_event
from talk import BUILD_KIND, DEADLINE, MAX_LINE, Server, main, skip
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, WebSocket, chatty, close_payload, frame, join, mask


def each_in_a_connection_of_its_own(cases, check):
    """Runs check(client, case) for each of the cases."""
    with Server() as server:
        for i, case in enumerate(cases):
            client = join(server, f"bob{i}")
            try:
                check(client, case)
            except BaseException:
                print(f"in case {i}: {case!r:.300}")
                raise
            client.client.close()


def breaks(code):
    """A check: the bytes of the case are answered with this close code alone."""
    def check(client, case):
        client.raw(case)
        client.expect_close(code)
    return check


# ---- 1: Framing. ----

def test_1_texts_of_all_sizes_are_echoed():
    with Server() as server:
        bob = join(server, "bob")
        for size in (0, 1, 125, 126, 127, 128, 4095, 4096, 4097, 32768, 65535):
            bob.say("x" * size)
            bob.expect(kind="message", participant="bob", text="x" * size)


def test_1_a_text_that_comes_byte_by_byte_is_echoed():
    with Server() as server:
        bob = join(server, "bob")
        for byte in frame(TEXT, "hello"):
            bob.raw(bytes([byte]))
        bob.expect(kind="message", text="hello")
        for byte in frame(TEXT, "y" * 200):
            bob.raw(bytes([byte]))
        bob.expect(kind="message", text="y" * 200)


def test_1_many_texts_in_one_packet_are_echoed():
    with Server() as server:
        bob = join(server, "bob")
        bob.raw(b"".join(frame(TEXT, f"line {i}") for i in range(1000)))
        for i in range(1000):
            bob.expect(kind="message", text=f"line {i}")


def test_1_binary_messages_are_refused():
    each_in_a_connection_of_its_own(
        [frame(BINARY), frame(BINARY, b"\0\1"), frame(BINARY, b"x", fin=False), frame(BINARY, b"x" * 1000)], breaks(1003))


# ---- 2: Pings and pongs. ----

def test_2_pings_are_answered_with_their_payload():
    with Server() as server:
        bob = join(server, "bob")
        for payload in (b"", b"hello", bytes([0, 0xFF, 0xFE, 0xFD]), b"\xfe" * 125):
            bob.frame(PING, payload)
            bob.expect_pong(payload)
        for byte in frame(PING, b"slow"):
            bob.raw(bytes([byte]))
        bob.expect_pong(b"slow")
        bob.raw(b"".join(frame(PING, str(i)) for i in range(100)))
        for i in range(100):
            bob.expect_pong(str(i))


def test_2_a_ping_of_more_than_125_bytes_is_an_error():
    each_in_a_connection_of_its_own([frame(opcode, b"\xfe" * 126) for opcode in (PING, PONG, CLOSE)], breaks(1002))


def test_2_a_pong_that_nobody_asked_for_means_nothing():
    with Server() as server:
        bob = join(server, "bob")
        bob.frame(PONG)
        bob.frame(PONG, b"unasked")
        bob.frame(PING, b"asked")
        bob.expect_pong(b"asked")


# ---- 3 and 4: Reserved bits and opcodes. ----

def test_3_reserved_bits_are_an_error():
    each_in_a_connection_of_its_own(
        [frame(opcode, b"hello", rsv=rsv) for rsv in range(1, 8) for opcode in (TEXT, PING, CLOSE)], breaks(1002))


def test_3_what_came_before_a_fault_is_heard():
    with Server() as server:
        bob = join(server, "bob")
        bob.raw(frame(TEXT, "good") + frame(TEXT, "bad", rsv=4) + frame(TEXT, "ignored"))
        bob.expect(kind="message", text="good")
        bob.expect_close(1002)


def test_4_unknown_opcodes_are_an_error():
    each_in_a_connection_of_its_own(
        [frame(opcode, payload) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15) for payload in (b"", b"hello")],
        breaks(1002))


# ---- 5: Fragmentation. ----

def test_5_fragments_are_one_message():
    with Server() as server:
        bob = join(server, "bob")
        for parts in (["hel", "lo"], ["", "hello"], ["hello", ""], ["", "", ""], list("hello"), ["x" * 5000, "y" * 5000, "z"]):
            frames = [frame(TEXT if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)]
            bob.raw(b"".join(frames))
            bob.expect(kind="message", text="".join(parts))
            for one in frames:
                bob.raw(one)
            bob.expect(kind="message", text="".join(parts))


def test_5_control_frames_may_come_between_fragments():
    with Server() as server:
        bob = join(server, "bob")
        bob.frame(TEXT, "one ", fin=False)
        bob.frame(PING, "between")
        bob.expect_pong("between")
        bob.frame(CONTINUATION, "two ", fin=False)
        bob.frame(PONG, "nothing")
        bob.raw(frame(PING, "1") + frame(PING, "2") + frame(CONTINUATION, "three"))
        bob.expect_pong("1")
        bob.expect_pong("2")
        bob.expect(kind="message", text="one two three")


def test_5_a_control_frame_in_fragments_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(opcode, b"x", fin=False) + frame(CONTINUATION, b"y") for opcode in (PING, PONG, CLOSE)], breaks(1002))


def test_5_a_continuation_of_nothing_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(CONTINUATION, b"x"), frame(CONTINUATION, b"x", fin=False), frame(CONTINUATION, b"x", fin=False) + frame(TEXT, b"y")],
        breaks(1002))
    with Server() as server:
        bob = join(server, "bob")
        bob.raw(frame(TEXT, "whole") + frame(CONTINUATION, "rest"))
        bob.expect(kind="message", text="whole")
        bob.expect_close(1002)


def test_5_a_new_message_within_another_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), frame(TEXT, b"", fin=False) + frame(BINARY, b"y")], breaks(1002))


# ---- 6: UTF-8. ----

VALID = ["κόσμε", "Hello-µ@ßöäüàá-UTF-8!!", "\ud7ff", "\ue000", "\ufffd", "\U00010000", "\U0010ffff", "\u07ff", "\u0800",
         "\uffff", "\U0001f600 \u200e\u05d0"]
INVALID = [b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\xf4\x90\x80\x80", b"\x80", b"\xbf",
           b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80",
           b"\xed\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"a\xc3(", b"\xe2\x82(",
           b"x" * 5000 + b"\xff"]
CUT = [b"\xc3", b"\xe2", b"\xe2\x82", b"\xf0\x9f", b"\xf0\x9f\x98", b"hello \xce"]


def test_6_valid_utf8_is_echoed_whole_and_in_fragments():
    with Server() as server:
        bob = join(server, "bob")
        for text in VALID:
            encoded = text.encode()
            bob.frame(TEXT, encoded)
            bob.expect(kind="message", text=text)
            for i in range(len(encoded)):
                bob.frame(CONTINUATION if i else TEXT, encoded[i:i + 1], fin=False)
            bob.frame(CONTINUATION)
            bob.expect(kind="message", text=text)


def test_6_invalid_utf8_is_an_error():
    each_in_a_connection_of_its_own([frame(TEXT, payload) for payload in INVALID + CUT], breaks(1007))


def test_6_invalid_utf8_in_a_fragment_is_an_error_before_its_message_ends():
    each_in_a_connection_of_its_own([frame(TEXT, payload, fin=False) for payload in INVALID], breaks(1007))
    each_in_a_connection_of_its_own(
        [frame(TEXT, payload[:1], fin=False) + frame(CONTINUATION, payload[1:], fin=False) for payload in INVALID], breaks(1007))


def test_6_invalid_utf8_is_an_error_before_its_frame_ends():
    def check(client, payload):
        client.raw(frame(TEXT, payload + b"x" * 60)[:-60])
        client.expect_close(1007)

    each_in_a_connection_of_its_own(INVALID, check)


def test_6_a_character_that_is_cut_by_the_end_of_its_message_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(TEXT, payload, fin=False) + frame(CONTINUATION) for payload in CUT], breaks(1007))


# ---- 7: Closing. ----

def test_7_a_close_is_answered_with_its_code():
    def check(client, code):
        client.close(code)
        client.expect_close(code)

    each_in_a_connection_of_its_own(
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999], check)


def test_7_a_close_may_have_no_code_and_may_have_a_reason():
    def check(client, payload):
        client.frame(CLOSE, payload)
        client.expect_close(1000 if payload else None)

    each_in_a_connection_of_its_own(
        [b"", close_payload(1000), close_payload(1000, b"bye"), close_payload(1000, "κόσμε".encode()),
         close_payload(1000, b"*" * 123)], check)


def test_7_codes_that_nobody_may_send_are_an_error():
    each_in_a_connection_of_its_own(
        [frame(CLOSE, close_payload(code)) for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)],
        breaks(1002))


def test_7_a_close_with_half_a_code_is_an_error():
    each_in_a_connection_of_its_own([frame(CLOSE, b"\x03"), frame(CLOSE, b"\0")], breaks(1002))


def test_7_a_reason_that_is_no_utf8_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(CLOSE, close_payload(1000, reason)) for reason in INVALID[:-1] + CUT], breaks(1007))


def test_7_what_comes_after_a_close_is_ignored():
    with Server() as server:
        ann = server.join("ann")
        bob = join(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        bob.raw(frame(TEXT, "last words") + frame(CLOSE, close_payload(1000)) + frame(TEXT, "ignored") + frame(PING, "ignored") +
                frame(CLOSE, close_payload(3000)) + b"\xff" * 100)
        bob.expect(kind="message", text="last words")
        bob.expect_close(1000)
        ann.expect("bob: last words", 'User "bob" just left the chat (normally)')


def test_7_a_close_within_a_fragmented_message_ends_it_unsaid():
    with Server() as server:
        ann = server.join("ann")
        bob = join(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        bob.frame(TEXT, "never ", fin=False)
        bob.close(1000)
        bob.expect_close(1000)
        ann.expect('User "bob" just left the chat (normally)')


def test_7_a_connection_that_ends_without_a_close_frame_has_ended():
    with Server() as server:
        ann = server.join("ann")
        bob = join(server, "bob")
        ann.expect('User "bob" just joined the chat!')
        bob.client.half_close()
        bob.expect_close(1000)
        ann.expect('User "bob" just left the chat (normally)')
        carl = join(server, "carl")
        ann.expect('User "carl" just joined the chat!')
        carl.client.reset()
        ann.expect('User "carl" just left the chat (connection lost)')


# ---- 9: Limits. ----

def test_9_the_longest_message_is_taken_and_a_longer_one_is_an_error():
    with Server() as server:
        bob = join(server, "bob")
        bob.say("x" * MAX_LINE)
        bob.expect(kind="message", text="x" * MAX_LINE)
        bob.say("x" * (MAX_LINE + 1))
        bob.expect_close(1009)


def test_9_a_message_is_too_long_before_it_has_come():
    with Server("--max-line", "1000") as server:
        bob = join(server, "bob")
        bob.raw(frame(TEXT, b"x", length_size=8, length=1 << 62))
        bob.expect_close(1009)
        carl = join(server, "carl")
        for _ in range(10):
            carl.frame(TEXT if _ == 0 else CONTINUATION, "x" * 100, fin=False)
        carl.frame(CONTINUATION, "x", fin=False)
        carl.expect_close(1009)
        dora = join(server, "dora")
        dora.frame(TEXT, "x" * 999, fin=False)
        dora.frame(CONTINUATION, "y")
        dora.expect(kind="message", text="x" * 999 + "y")


def most_memory(server):
    """The most address space that the server ever had, in bytes."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as file:
        return int(re.search(r"^VmPeak:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024


def test_9_a_promise_of_a_long_message_takes_no_memory():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server("--max-line", "1M") as server:
        crowd = [join(server, f"bob{i}") for i in range(40)]
        before = most_memory(server)
        for bob in crowd:
            bob.raw(frame(TEXT, b"x" * 100 + b"\xff", length_size=8, length=1 << 20))
        for bob in crowd:
            bob.expect_close_soon(1007)
        assert most_memory(server) - before < 10 << 20, f"{before} bytes before, then {most_memory(server)}"


def test_9_a_message_of_a_megabyte_is_echoed_in_whatever_pieces():
    with Server("--max-line", "1M") as server:
        bob = join(server, "bob")
        text = os.urandom(1 << 19).hex()
        bob.say(text)
        assert bob.expect(kind="message")["text"] == text
        pieces = [text[i:i + 997] for i in range(0, len(text), 997)]
        bob.raw(b"".join(frame(CONTINUATION if i else TEXT, piece, fin=i == len(pieces) - 1) for i, piece in enumerate(pieces)))
        assert bob.expect(kind="message")["text"] == text


def test_9_a_message_of_ten_thousand_fragments_is_echoed():
    with Server() as server:
        bob = join(server, "bob")
        bob.raw(frame(TEXT, "", fin=False) + b"".join(frame(CONTINUATION, "x", fin=False) for _ in range(10000)) +
                frame(CONTINUATION, "y"))
        bob.expect(kind="message", text="x" * 10000 + "y")


def test_9_who_asks_with_pings_and_reads_nothing_takes_no_memory():
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server() as server:
        bob = join(server, "bob")
        before = server.memory()
        bob.client.socket.setblocking(False)
        burst = frame(PING, b"x" * 125) * 400
        deadline = time.monotonic() + DEADLINE
        stuck_since = None
        while stuck_since is None or time.monotonic() - stuck_since < 0.3:
            assert time.monotonic() < deadline, "the server reads on and on"
            try:
                bob.client.socket.send(burst)  # some of it, and frames are cut: nobody looks
                stuck_since = None
            except BlockingIOError:
                stuck_since = stuck_since or time.monotonic()
                time.sleep(0.01)
        assert server.memory() - before < 2 << 20, f"{before} bytes before, {server.memory()} now"


# ---- Masks and lengths, which Autobahn does not try. ----

def test_a_frame_without_a_mask_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(TEXT, b"hello", masked=False), frame(PING, b"", masked=False), frame(CLOSE, close_payload(1000), masked=False)],
        breaks(1002))


def test_a_length_that_is_not_the_shortest_is_an_error():
    each_in_a_connection_of_its_own(
        [frame(TEXT, b"hello", length_size=2), frame(TEXT, b"hello", length_size=8), frame(TEXT, b"x" * 125, length_size=2),
         frame(TEXT, b"x" * 65535, length_size=8), frame(TEXT, b"x", length_size=8, length=1 << 63)], breaks(1002))


def test_all_masks_are_taken_off():
    with Server() as server:
        bob = join(server, "bob")
        for key in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x01\x02\x03\x04", b"hell"):
            bob.raw(bytes([0x81, 0x80 | 11]) + key + mask(b"hello again", key))
            bob.expect(kind="message", text="hello again")


def test_noise_harms_nobody():
    with Server() as server:
        ann = join(server, "ann")
        for i in range(50):
            noisy = chatty(server, name=f"noisy{i}")
            noisy.raw(os.urandom(2000))
            noisy.client.close()
        ann.is_alive()
        server.assert_lives()


# ---- The handshake. ----

def test_compression_and_subprotocols_are_declined():
    with Server() as server:
        offers = ("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Protocol: chat, superchat")
        bob = WebSocket(server, "/chat/join?name=bob", headers=offers)
        assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & set(bob.answer), bob.answer
        bob.until(kind="joined", participant="bob")
        bob.say("hello")
        bob.expect(kind="message", text="hello")


def test_frames_that_come_with_the_handshake_are_heard():
    with Server() as server:
        bob = chatty(server, name="bob", early=frame(TEXT, "early") + frame(PING, b"too") + frame(TEXT, "cut")[:-2])
        seen = [bob.next_message() for _ in range(4)]
        assert seen[0][0] == TEXT and parse_event(seen[0][1].decode())["kind"] == "welcome", seen
        assert (PONG, b"too") in seen, seen
        events = [parse_event(payload.decode()) for opcode, payload in seen[1:] if opcode == TEXT]
        assert [event["kind"] for event in events] == ["joined", "message"] and events[1]["text"] == "early", events


main()
