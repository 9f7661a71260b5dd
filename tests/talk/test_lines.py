"""The line door: what happens to the bytes of a line, from whichever client and in whatever pieces they come."""

import re

from talk import GREETING, MAX_LINE, Server, main, too_long

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def test_the_author_and_everyone_else_get_the_line():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("hello")
        bob.expect("bob: hello")
        ann.expect("bob: hello")


def test_text_in_the_same_packet_as_the_name_is_delivered():
    with Server() as server:
        ann = server.join("ann")
        carol = server.connect()
        carol.raw(b"carol\nfirst\nsecond\n")
        carol.expect_welcome("carol")
        carol.expect("carol: first", "carol: second")
        ann.expect('User "carol" just joined the chat!', "carol: first", "carol: second")


def test_a_line_that_grows_too_long_when_it_is_made_clean_is_refused():
    with Server("--max-line", "1000") as server:
        bob = server.join("bob")
        bob.raw(b"\x80" * 334 + b"\n" + b"\x80" * 333 + b"\n")
        bob.expect(re.compile("! line-too-long: a line may have 1000 bytes when it is clean UTF-8; .*"), "bob: " + REPLACEMENT * 333)


def test_a_last_line_without_an_end_is_delivered_and_its_author_still_gets_the_echo():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        bob.raw(b"one\nlast words")
        bob.half_close()
        bob.expect("bob: one", "bob: last words")
        bob.expect_end()
        ann.expect('User "bob" just joined the chat!', "bob: one", "bob: last words",
                   'User "bob" just left the chat (normally)')


def test_everything_in_one_packet_with_the_end_of_the_stream_is_delivered():
    with Server() as server:
        ann = server.join("ann")
        bob = server.connect()
        bob.raw(b"bob\nfrom a pipe\nno end")
        bob.half_close()
        bob.expect_welcome("bob")
        bob.expect("bob: from a pipe", "bob: no end")
        bob.expect_end()
        ann.expect('User "bob" just joined the chat!', "bob: from a pipe", "bob: no end",
                   'User "bob" just left the chat (normally)')


def test_many_lines_before_a_half_close_are_all_echoed():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"".join(b"line %d\n" % i for i in range(2000)))
        bob.half_close()
        bob.expect(*[f"bob: line {i}" for i in range(2000)])
        bob.expect_end()


def test_a_line_may_come_byte_by_byte():
    with Server() as server:
        bob = server.connect()
        for byte in "bob\r\ngrüß dich 🙂\r\n".encode():
            bob.raw(bytes([byte]))
        bob.expect_welcome("bob")
        bob.expect("bob: grüß dich 🙂")


def test_cr_lf_ends_a_line_like_lf():
    with Server() as server:
        bob = server.connect()
        bob.raw(b"bob\r\nwith cr\r\nwithout\n\r\n")
        bob.expect_welcome("bob")
        bob.expect("bob: with cr", "bob: without", "bob: ")


def test_a_cr_inside_a_line_is_removed():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"no over\rwriting\r\r\n")
        bob.expect("bob: no overwriting")


def test_an_empty_line_is_a_message():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"\n\n")
        bob.expect("bob: ", "bob: ")


def test_white_space_in_a_message_stays():
    with Server() as server:
        bob = server.join("bob")
        bob.say("  two  spaces\tand a tab  ")
        bob.expect("bob:   two  spaces\tand a tab  ")


def test_a_line_of_65535_bytes_passes():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        text = "x" * MAX_LINE
        bob.say(text)
        bob.expect("bob: " + text)
        ann.expect("bob: " + text)


def test_a_line_of_65535_bytes_may_end_with_cr_lf():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"y" * MAX_LINE + b"\r\n")
        bob.expect("bob: " + "y" * MAX_LINE)


def test_a_line_of_65536_bytes_is_refused_and_what_follows_is_delivered():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.raw(b"x" * (MAX_LINE + 1) + b"\nshort\n")
        bob.expect(too_long(), "bob: short")
        bob.say("still here")
        bob.expect("bob: still here")
        ann.expect("bob: short", "bob: still here")


def test_a_line_of_a_megabyte_is_refused_once():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"z" * (1 << 20) + b"\nafter\n")
        bob.expect(too_long(), "bob: after")


def test_long_and_short_lines_in_turn_keep_their_order():
    with Server() as server:
        bob = server.join("bob")
        bob.outgoing = b"".join(b"%d\n" % i + b"x" * (MAX_LINE + 1 + i) + b"\n" for i in range(20))
        bob.raw(bob.outgoing)
        for i in range(20):
            bob.expect(f"bob: {i}", too_long())


def test_a_long_last_line_without_an_end_is_refused():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"x" * (MAX_LINE + 1))
        bob.half_close()
        bob.expect(too_long())
        bob.expect_end()


def test_the_longest_line_is_an_option():
    with Server("--max-line", "100") as server:
        bob = server.join("bob")
        bob.raw(b"a" * 100 + b"\n" + b"b" * 101 + b"\n" + b"c\n")
        bob.expect("bob: " + "a" * 100, too_long(100), "bob: c")


def test_nul_and_control_bytes_are_removed():
    with Server() as server:
        bob = server.join("bob")
        everything = bytes(byte for byte in range(0x20) if byte != 0x0A) + b"\x7f"
        bob.raw(b"a\x00b" + everything + b"c\n")
        bob.expect("bob: ab\tc")


def test_escape_sequences_reach_nobody():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.raw(b"\x1b[2J\x1b]0;title\x07red \x1b[31m!\xc2\x9b31m\n")  # the last one is CSI as a C1 character
        ann.expect("bob: [2J]0;titlered [31m!31m")


def test_invalid_utf8_becomes_replacement_characters():
    with Server() as server:
        bob = server.join("bob")
        cases = {
            b"\xc3(": REPLACEMENT + "(",                         # a start without its continuation
            b"\xe2\x82": REPLACEMENT,                             # cut short by the end of the line
            b"\xc0\xaf": REPLACEMENT * 2,                         # overlong
            b"\xed\xa0\x80": REPLACEMENT * 3,                     # a surrogate
            b"\xf4\x90\x80\x80": REPLACEMENT * 4,                 # above U+10FFFF
            b"\xf0\x9f\x99": REPLACEMENT,                         # three of four bytes
            b"ok \xfe ok": f"ok {REPLACEMENT} ok",
            "ἄ 語 🙂".encode(): "ἄ 語 🙂",
            REPLACEMENT.encode(): REPLACEMENT,
        }
        for sent, wanted in cases.items():
            bob.say(sent)
            bob.expect("bob: " + wanted)


def test_a_character_split_over_packets_is_whole():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"smile \xf0\x9f")
        ann = server.join("ann")  # by now the first half has surely been sent on its own
        bob.raw(b"\x99\x82\n")
        bob.expect('User "ann" just joined the chat!', "bob: smile 🙂")
        ann.expect("bob: smile 🙂")


def test_telnet_options_are_refused():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"\xff\xfd\x01")                # DO ECHO
        bob.expect_bytes(b"\xff\xfc\x01")       # WONT ECHO
        bob.raw(b"\xff\xfb\x18")                # WILL TERMINAL-TYPE
        bob.expect_bytes(b"\xff\xfe\x18")       # DONT TERMINAL-TYPE
        bob.raw(b"\xff\xfc\x01\xff\xfe\x03hi\n")  # WONT and DONT need no answer
        bob.expect("bob: hi")


def test_telnet_commands_inside_a_line_are_taken_out():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"a\xff\xf1b\xff\xf9c\n")  # NOP, GA
        bob.expect("bob: abc")
        bob.raw(b"d\xff\xfa\x18\x00xterm\xff\xf0e\n")  # a subnegotiation
        bob.expect("bob: de")
        bob.raw(b"f\xff\xfa\x1f\x00\xff\xff\x00\n\xff\xf0g\n")  # with an escaped 255 and an LF in it
        bob.expect("bob: fg")


def test_telnet_commands_may_be_split_over_packets():
    with Server() as server:
        bob = server.join("bob")
        for byte in b"a\xff\xfd\x01b\xff\xfa\x18\x00x\xff\xf0c\xff\xfb\x1fd\n":
            bob.raw(bytes([byte]))
        bob.expect_bytes(b"\xff\xfc\x01\xff\xfe\x1f")
        bob.expect("bob: abcd")


def test_telnet_options_before_the_name_are_refused_and_the_name_counts():
    with Server() as server:
        bob = server.connect()
        bob.raw(b"\xff\xfd\x03\xff\xfb\x1fbob\r\n")
        bob.expect_bytes(b"\xff\xfc\x03\xff\xfe\x1f")
        bob.expect_welcome("bob")


def test_an_escaped_255_is_a_byte_that_is_not_utf8():
    with Server() as server:
        bob = server.join("bob")
        bob.raw(b"a\xff\xffb\n")
        bob.expect(f"bob: a{REPLACEMENT}b")


def test_a_line_that_looks_like_a_server_line_carries_its_author():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("== The server(127.0.0.1:1) was terminated its operation... Goodbye. ==")
        bob.say("* Goodbye ann.")
        bob.say("100%d %s %n")
        ann.expect("bob: == The server(127.0.0.1:1) was terminated its operation... Goodbye. ==",
                   "bob: * Goodbye ann.", "bob: 100%d %s %n")


def test_bidirectional_overrides_do_not_break_a_line():
    with Server() as server:
        bob = server.join("bob")
        bob.say("abc \u202e def \u2066 ghi")
        bob.expect(re.compile("bob: abc .?.?def .?.?ghi"))  # they may be kept or dropped, the rest may not


def test_a_line_from_a_person_who_was_greeted_is_the_name():
    with Server() as server:
        bob = server.connect()
        bob.expect(GREETING)
        bob.say("bob")
        bob.expect_welcome("bob")


if __name__ == "__main__":
    main()
