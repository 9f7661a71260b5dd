"""Names: which ones are allowed, what happens to the others, and how a person differs from a program."""

import re
import time

from talk import BAD_NAME, GREETING, TAG, Server, main, wait_for


def refused(name):
    """Gives a name that has to be refused to a server that knows ann; nobody may hear of it."""
    with Server() as server:
        ann = server.join("ann")
        client = server.connect()
        client.raw((name.encode() if isinstance(name, str) else name) + b"\nthis is not a name\n")
        client.expect(BAD_NAME)
        client.expect_end()
        ann.say("only me")
        ann.expect("ann: only me")


def allowed(name, becomes=None):
    with Server() as server:
        ann = server.join("ann")
        client = server.connect()
        client.say(name)
        client.expect_welcome(becomes or name)
        client.say("hi")
        client.expect(f"{becomes or name}: hi")
        ann.expect(f'User "{becomes or name}" just joined the chat!', f"{becomes or name}: hi")


def test_an_empty_name_is_refused():
    refused("")


def test_a_name_of_white_space_is_refused():
    refused("  \t ")


def test_a_name_of_50_characters_passes():
    allowed("n" * 50)


def test_a_name_of_50_characters_of_four_bytes_passes():
    allowed("𐍈" * 50)


def test_a_name_of_51_characters_is_refused():
    refused("n" * 51)


def test_a_name_as_long_as_a_line_is_refused():
    refused("n" * 65535)


def test_a_name_longer_than_a_line_is_refused_and_nobody_joins():
    with Server() as server:
        ann = server.join("ann")
        client = server.connect()
        client.raw(b"n" * 70000 + b"\nhello\n")
        client.expect(re.compile(r"! (bad-name|line-too-long): .+"))
        client.expect_end()
        ann.say("only me")
        ann.expect("ann: only me")


def test_a_name_with_forbidden_signs_is_refused():
    for name in ("b*b", "a:b", 'quo"te', "semi;colon", "a@b", "back\\slash", "<b>", "100%", "a,b"):
        refused(name)


def test_a_name_with_control_characters_is_refused_or_loses_them():
    for name in (b"b\x00b", b"b\x1b[31mb", b"b\x07b", b"b\x7fb", "b\x9bb".encode(), b"b\tb"):
        with Server() as server:
            ann = server.join("ann")
            client = server.connect()
            client.raw(name + b"\n")
            line = client.line()
            assert line == BAD_NAME or line.startswith(("* Welcome bb - ", "* Welcome b31mb - ")), repr(line)
            if line != BAD_NAME:
                ann.expect(re.compile('User "(bb|b31mb)" just joined the chat!'))


def test_a_name_with_right_to_left_marks_is_refused():
    for mark in "\u200f\u202e\u2067\u061c":
        refused(f"b{mark}b")


def test_a_name_with_zero_width_characters_is_refused():
    for mark in "\u200b\u200d\u2060\ufeff\u00ad":
        refused(f"b{mark}b")


def test_a_name_with_invalid_utf8_is_refused():
    refused(b"b\xc3b")


def test_a_name_with_two_spaces_inside_is_refused():
    refused("Johnny  Boi")


def test_a_name_with_another_kind_of_space_is_refused():
    for space in "\u00a0\u2003\u3000":
        refused(f"Johnny{space}Boi")


def test_a_name_with_single_spaces_passes():
    allowed("Johnny Boi the 3rd")


def test_white_space_around_a_name_is_dropped():
    allowed("  bob\t ", "bob")


def test_names_of_any_script_pass():
    for name in ("José", "Ζωή", "Юля", "李小龍", "محمد", "नेहा", "o_o-.#9"):
        allowed(name)


def test_names_from_right_to_left_scripts_pass():
    for name in ("דוד", "سارة"):
        allowed(name)


def test_a_taken_name_gets_a_suffix():
    with Server() as server:
        bob = server.join("bob")
        second = server.connect()
        second.say("bob")
        name = second.expect_welcome(re.compile("bob" + TAG))
        bob.expect(f'User "{name}" just joined the chat!')
        second.say("who am I?")
        second.expect(f"{name}: who am I?")
        bob.expect(f"{name}: who am I?")


def test_a_name_taken_in_another_letter_case_gets_a_suffix():
    with Server() as server:
        server.join("Ann Straße")
        for name in ("ann straße", "ANN STRASSE", "Ann Straße"):
            client = server.connect()
            client.say(name)
            client.expect_welcome(re.compile(re.escape(name) + TAG))


def test_a_name_taken_in_another_normal_form_gets_a_suffix():
    with Server() as server:
        server.join("Jos\u00e9")
        client = server.connect()
        client.say("Jose\u0301")
        client.expect_welcome(re.compile("Jos\u00e9" + TAG))


def test_a_taken_name_of_50_characters_stays_a_name_of_50():
    with Server() as server:
        server.join("x" * 50)
        client = server.connect()
        client.say("x" * 50)
        name = client.expect_welcome(re.compile("x{43}" + TAG))
        assert len(name) == 50


def test_many_who_want_the_same_name_all_get_one_of_their_own():
    with Server() as server:
        names = set()
        for _ in range(40):
            client = server.connect()
            client.say("bob")
            names.add(client.expect_welcome(re.compile(f"bob(?:{TAG})?")))
        assert len(names) == 40 and "bob" in names, names


def test_a_name_is_free_again_when_its_owner_has_left():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("/quit")
        bob.expect("* Goodbye bob.")
        bob.expect_end()
        ann.expect('User "bob" just left the chat (normally)')

        def bob_is_free():  # the notice may come a moment before that
            client = server.connect()
            client.say("bob")
            return client.expect_welcome(re.compile(f"bob(?:{TAG})?")) == "bob"

        wait_for(bob_is_free, "the name is free")


def test_a_person_is_asked_for_the_name_after_300_ms_of_silence():
    with Server() as server:
        bob = server.connect()
        bob.expect(GREETING)
        assert time.monotonic() - bob.started >= 0.29, "the question came too early"
        bob.say("bob")
        bob.expect_welcome("bob")


def test_a_program_that_sends_its_name_at_once_is_not_asked():
    for _ in range(10):
        with Server() as server:
            bob = server.connect()
            bob.say("bob")
            sent_after = time.monotonic() - bob.started
            first = bob.line()
            if sent_after > 0.25 and first == GREETING:
                continue  # this machine is so busy that we were late; once more
            assert first.startswith("* Welcome bob - "), first
            return
    raise AssertionError("not one of ten names could be sent within 250 ms")


def test_a_person_is_asked_only_once():
    with Server() as server:
        ann = server.join("ann")
        bob = server.connect()
        bob.expect(GREETING)
        other = server.connect()
        other.expect(GREETING)  # another 300 ms have passed
        bob.say("bob")
        bob.expect_welcome("bob")
        ann.expect('User "bob" just joined the chat!')


def test_a_person_has_five_tries():
    with Server() as server:
        bob = server.connect()
        bob.expect(GREETING)
        for _ in range(4):
            bob.say("b*b")
            bob.expect(BAD_NAME)
        bob.say("bob")
        bob.expect_welcome("bob")


def test_a_person_who_fails_five_times_is_disconnected():
    with Server() as server:
        bob = server.connect()
        bob.expect(GREETING)
        for _ in range(5):
            bob.say("b*b")
            bob.expect(BAD_NAME)
        bob.expect_end()


def test_a_program_with_a_bad_name_is_disconnected():
    refused("not/allowed")


def test_a_name_without_an_end_joins_and_leaves():
    with Server() as server:
        ann = server.join("ann")
        bob = server.connect()
        bob.raw(b"bob")
        bob.half_close()
        bob.expect_welcome("bob")
        bob.expect_end()
        ann.expect('User "bob" just joined the chat!', 'User "bob" just left the chat (normally)')


def test_a_connection_without_a_name_is_nobody():
    with Server() as server:
        ann = server.join("ann")
        for i in range(20):
            client = server.connect()
            if i % 2:
                client.reset()
            else:
                client.half_close()
                client.expect_end()
        ann.say("only me")
        ann.expect("ann: only me")


def test_a_first_line_with_a_slash_is_a_command_of_a_guest():
    with Server() as server:
        ann = server.join("ann")
        guest = server.connect()
        guest.say("/who")
        name = guest.expect_welcome(re.compile("guest" + TAG))
        guest.expect(re.compile(rf"\* 2 here: ann, {name}|\* 2 here: {name}, ann"))
        ann.expect(f'User "{name}" just joined the chat!')
        guest.say("hi")
        guest.expect(f"{name}: hi")
        ann.expect(f"{name}: hi")


def test_two_guests_have_two_names():
    with Server() as server:
        names = set()
        for _ in range(5):
            guest = server.connect()
            guest.say("/help")
            names.add(guest.expect_welcome(re.compile("guest" + TAG)))
        assert len(names) == 5


def test_an_unknown_command_as_first_line_is_answered():
    with Server() as server:
        guest = server.connect()
        guest.say("/message hi")
        guest.expect_welcome(re.compile("guest" + TAG))
        guest.expect(re.compile("! unknown-command: there is no command /message; .+"))


def test_a_name_that_never_comes_times_out():
    with Server("--name-timeout", "1") as server:
        ann = server.join("ann")
        client = server.connect()
        client.expect(GREETING)
        client.expect("! name-timeout: no name came within 1 s; connect again and send your name as the first line")
        client.expect_end()
        assert time.monotonic() - client.started >= 0.95, "that was too early"
        ann.say("only me")
        ann.expect("ann: only me")


def test_half_a_name_times_out_as_well():
    with Server("--name-timeout", "1") as server:
        client = server.connect()
        client.raw(b"bo")
        lines = client.rest()
        assert lines[-1].startswith("! name-timeout: "), lines


def test_bytes_that_trickle_in_do_not_put_the_name_timeout_off():
    with Server("--name-timeout", "1") as server:
        client = server.connect()
        client.socket.settimeout(0.1)  # the rhythm of the drops, not a time to wait for the server
        while not client.ended and time.monotonic() - client.started < 20:
            try:
                client.raw(b"x")
                client.buffer += client.socket.recv(1000) or b"(end)"
            except TimeoutError:
                continue
            except OSError:
                client.ended = True
            client.ended = client.ended or client.buffer.endswith(b"(end)")
        assert client.ended, "the connection still lives after 20 s"
        assert b"! name-timeout: " in client.buffer, bytes(client.buffer)


def test_a_member_is_not_subject_to_the_name_timeout():
    with Server("--name-timeout", "1") as server:
        bob = server.join("bob")
        silent = server.connect()
        silent.expect(GREETING, re.compile("! name-timeout: .+"))  # so more than a second has passed
        bob.say("still here")
        bob.expect("bob: still here")


if __name__ == "__main__":
    main()
