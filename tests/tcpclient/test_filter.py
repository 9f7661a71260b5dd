"""The client in a pipe."""

import os
import pwd
import signal
import socket
import subprocess
import tempfile

from support import Fake, Filter, GoServer, WELCOME, main, program, wait_for
from talk import Server

GOODBYE = "== The server(127.0.0.1:7777) was terminated its operation... Goodbye. =="


def bot(server, *arguments, **options):
    return Filter("-username", "bot", *arguments, server.address, **options)


def test_a_line_is_sent_and_its_echo_is_printed():
    with Fake() as server, bot(server) as client:
        client.give(b"hi\n")
        client.no_more()
        peer = server.accept().welcome("bot")
        peer.expect("hi")
        peer.say("bot: hi", "ann: welcome, bot")
        peer.expect_end()
        peer.say("ann: are you still there?")
        peer.close()
        code, lines, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)
        assert lines == [WELCOME.format("bot"), "bot: hi", "ann: welcome, bot", "ann: are you still there?"], lines


def test_it_does_not_hang_up_before_the_echo():
    with Fake() as server, bot(server) as client:
        client.give(b"one\ntwo\n")
        client.no_more()
        peer = server.accept().welcome("bot")
        peer.expect("one", "two")
        peer.say("bot: one")
        peer.connection.settimeout(0.3)
        try:
            assert peer.connection.recv(1), "it said that no more comes although an echo was missing"
            raise AssertionError("it sent something")
        except TimeoutError:
            pass
        peer.connection.settimeout(60)
        peer.say("bot: two")
        peer.expect_end()
        peer.close()
        assert client.end()[0] == 0


def test_without_input_it_listens_until_the_server_closes():
    with Fake() as server, bot(server, stdin=subprocess.DEVNULL) as client:
        peer = server.accept().welcome("bot")
        peer.say("ann: hello", GOODBYE)
        peer.close()
        code, lines, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)
        assert lines[1:] == ["ann: hello", GOODBYE], lines


def test_a_refused_connection_is_an_error():
    with Fake() as server:
        address = server.address
    with Filter("-username", "bot", address) as client:
        code, lines, errors = client.end(b"hi\n")
        assert code == 1 and lines == [] and "Connection refused" in errors, (code, lines, errors)


def test_an_unknown_host_is_an_error():
    with Filter("-username", "bot", "no-such-host.invalid") as client:
        code, _, errors = client.end(b"hi\n")
        assert code == 1 and "no-such-host.invalid" in errors, (code, errors)


def test_an_address_that_does_not_answer_is_an_error():
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    crowd = []
    for _ in range(3):  # its queue is full
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        crowd.append(client)
    with Filter("-username", "bot", "%s:%d" % listener.getsockname(), stdin=subprocess.DEVNULL) as client:
        code, _, errors = client.end()
        assert code == 1 and "no answer within 10 seconds" in errors, (code, errors)
    for client in [listener, *crowd]:
        client.close()


def test_commands_are_not_waited_for():
    with Fake() as server, bot(server) as client:
        client.give(b"/who\n//who\n")
        client.no_more()
        peer = server.accept().welcome("bot")
        peer.expect("/who", "//who")
        peer.say("* 1 here: bot", "bot: /who")
        peer.expect_end()
        peer.close()
        code, lines, errors = client.end()
        assert code == 0, (code, lines, errors)


def test_a_message_that_begins_with_two_slashes_is_known_by_its_echo():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"//who\n")
        assert code == 0 and lines[-1] == "bot: /who", (code, lines, errors)


def test_what_the_server_refuses_is_an_error():
    with Fake() as server, bot(server) as client:
        client.give(b"one\ntwo\n")
        client.no_more()
        peer = server.accept().welcome("bot")
        peer.expect("one", "two")
        peer.say("! not-stored: the disk is full; try again later", "bot: two")
        peer.expect_end()
        peer.close()
        code, lines, errors = client.end()
        assert code == 1 and "! not-stored: the disk is full" in errors, (code, errors)
        assert lines[-2:] == ["! not-stored: the disk is full; try again later", "bot: two"], lines


def test_a_refused_name_is_an_error():
    with Fake() as server, bot(server) as client:
        peer = server.accept()
        peer.expect("bot")
        peer.say("! bad-name: not this one; choose another")
        peer.close()
        code, _, errors = client.end(b"hi\n")
        assert code == 1 and "bad-name" in errors, (code, errors)


def test_a_connection_that_ends_before_the_echo_is_an_error():
    for end in ("close", "reset"):
        with Fake() as server, bot(server) as client:
            client.give(b"one\ntwo\n")
            client.no_more()
            peer = server.accept().welcome("bot")
            peer.expect("one", "two")
            peer.say("bot: one")
            if end == "reset":
                peer.reset()
            else:
                peer.close()
            code, _, errors = client.end()
            assert code == 1 and "ended before all was said" in errors, (end, code, errors)


def test_a_connection_that_ends_before_the_input_is_an_error():
    with Fake() as server, bot(server) as client:
        client.give(b"one\n")
        peer = server.accept().welcome("bot")
        peer.expect("one")
        peer.say("bot: one")
        peer.close()
        client.process.wait(60)
        code, _, errors = client.end()
        assert code == 1 and "before the input did" in errors, (code, errors)


def test_a_line_that_is_too_long_is_not_sent_and_the_others_are():
    longest = b"x" * 65535
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"before\n" + longest + b"y\n" + longest + b"\nafter\n")
        assert code == 1 and "line 2 of the input is longer than 65535 bytes" in errors, (code, errors)
        assert lines[1:] == ["bot: before", "bot: " + "x" * 65535, "bot: after"], [line[:80] for line in lines]


def test_the_last_line_needs_no_end():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"one\r\ntwo")
        assert code == 0 and lines[1:] == ["bot: one", "bot: two"], (code, lines, errors)


def test_empty_lines_are_messages():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"\n\nx\n")
        assert code == 0 and lines[1:] == ["bot: ", "bot: ", "bot: x"], (code, lines, errors)


def test_bytes_that_are_no_text_are_sent_as_replacement_characters():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"a\xffb\x00\x1b[31mc\n")
        assert code == 0 and lines[1:] == ["bot: a\ufffdb[31mc"], (code, lines, errors)


def test_many_lines_are_all_echoed_in_order():
    count = 50000
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"".join(b"line %d\n" % number for number in range(count)))
        assert code == 0, (code, errors)
        assert lines[1:] == [f"bot: line {number}" for number in range(count)]


def test_a_name_that_is_taken_changes_and_the_echoes_are_still_known():
    with Server() as server:
        server.join("bot")
        with Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
            code, lines, errors = client.end(b"hi\n")
            assert code == 0 and lines[-1].startswith("bot#") and lines[-1].endswith(": hi"), (code, lines, errors)


def test_exit_ends_the_input():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        code, lines, errors = client.end(b"one\n!Exit\ntwo\n")
        assert code == 0 and lines[1:] == ["bot: one"], (code, lines, errors)


def test_quit_is_an_orderly_end():
    with Server() as server, Filter("-username", "bot", f"127.0.0.1:{server.port}") as client:
        client.give(b"one\n/quit\n")
        client.process.wait(60)
        code, lines, errors = client.end()
        assert code == 0 and lines[1:] == ["bot: one", "* Goodbye bot."], (code, lines, errors)


def test_a_goodbye_of_the_server_ends_the_listening():
    with Server() as server, Filter("-username", "log", f"127.0.0.1:{server.port}", stdin=subprocess.DEVNULL) as client:
        server.log.wait(r"joined .*log")
        server.stop()
        code, lines, errors = client.end()
        assert code == 0 and "Goodbye" in lines[-1], (code, lines, errors)


def test_a_gotcp_server_is_understood():
    with GoServer() as server, bot(server) as client:
        code, lines, errors = client.end(b"one\ntwo\n")
        assert code == 0 and lines == ["bot: one", "bot: two"], (code, lines, errors)


def test_on_a_gotcp_server_nothing_is_an_error_code():
    with Fake() as server, bot(server) as client:
        client.give(b"one\n")
        client.no_more()
        peer = server.accept()
        peer.expect("bot")
        peer.say("ann: hi", "! x: hello", "* Welcome eve - tcpchat/1. ha ha: hello")
        peer.expect("one")
        peer.say("bot: something else", "bot: one")
        peer.expect_end()
        peer.close()
        code, lines, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)


def test_a_server_that_asks_for_the_name_is_understood():
    with Fake() as server, bot(server) as client:
        peer = server.accept()
        peer.say("* Welcome to tcpchat. Please type your name and press Enter.")
        peer.welcome("bot")
        client.give(b"one\n")
        peer.expect("one")
        peer.say("bot: one")
        client.no_more()
        peer.expect_end()
        peer.close()
        assert client.end()[0] == 0


def test_a_welcome_that_comes_late_still_counts():
    with Fake() as server, bot(server) as client:
        peer = server.accept()
        peer.expect("bot")
        client.give(b"one\n")
        client.no_more()
        peer.expect("one")
        peer.say(WELCOME.format("bot#a1b2c3"), "bot: one", "! not-stored: no room; try again later")
        peer.expect_end()
        peer.close()
        code, _, errors = client.end()
        assert code == 1 and "! not-stored" in errors, (code, errors)


def test_nothing_is_sent_together_with_the_name():
    with Fake() as server, bot(server) as client:
        client.give(b"one\n")
        peer = server.accept()
        peer.expect("bot")
        assert peer.received == b""
        peer.say(WELCOME.format("bot"))
        peer.expect("one")


def test_a_reader_that_has_enough_ends_the_listening_quietly():
    out, into = os.pipe()
    with Fake() as server, bot(server, stdin=subprocess.DEVNULL, stdout=into) as client:
        os.close(into)
        peer = server.accept().welcome("bot")
        assert os.read(out, 5) == b"* Wel"
        os.close(out)
        peer.expect_end()
        peer.close()
        code, _, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)


def test_a_reader_that_has_enough_does_not_end_the_sending():
    out, into = os.pipe()
    with Fake() as server, bot(server, stdout=into) as client:
        os.close(into)
        peer = server.accept().welcome("bot")
        client.give(b"one\n")
        peer.expect("one")
        os.close(out)
        peer.say("bot: one")
        client.give(b"two\n")
        peer.expect("two")
        peer.say("bot: two")
        client.no_more()
        peer.expect_end()
        peer.close()
        code, _, errors = client.end()
        assert (code, errors) == (0, ""), (code, errors)


def test_the_output_is_clean_even_if_the_server_is_not():
    with Fake() as server, bot(server, stdin=subprocess.DEVNULL) as client:
        peer = server.accept().welcome("bot")
        peer.raw(b"ann: \x1b]0;owned\x07\x1b[2J %n%s \xff\xfe \xc2\x9b31m\r\n")
        peer.close()
        code, lines, _ = client.end()
        assert code == 0 and lines[1:] == ["ann: ]0;owned[2J %n%s \ufffd\ufffd 31m"], lines


def test_colours_never_reach_a_pipe():
    with Fake() as server, bot(server, "--color", "always", stdin=subprocess.DEVNULL) as client:
        peer = server.accept().welcome("bot")
        peer.say("ann: hello")
        peer.close()
        assert client.end()[1] == [WELCOME.format("bot"), "ann: hello"]


def test_it_reads_while_the_server_does_not():
    """A server that stops listening to a client which does not read its echoes must not be a deadlock."""
    with Fake() as server, bot(server) as client:
        client.give(b"x" * 60000 + b"\n")
        peer = server.accept().welcome("bot")
        for number in range(200):
            if number < 60:
                client.give(b"y" * 60000 + b"\n")
            peer.say("ann: " + "z" * 60000)
        peer.expect("x" * 60000)
        peer.say("bot: " + "x" * 60000)
        client.no_more()
        for _ in range(60):
            peer.expect("y" * 60000)
            peer.say("bot: " + "y" * 60000)
        peer.expect_end()
        peer.close()
        code, lines, errors = client.end()
        assert code == 0 and len(lines) == 262, (code, len(lines), errors)


def test_a_line_of_three_hundred_thousand_bytes_passes_and_an_endless_one_is_cut():
    with Fake() as server, bot(server, stdin=subprocess.DEVNULL) as client:
        peer = server.accept().welcome("bot")
        peer.say("ann: " + "z" * 300000)
        for _ in range(100):
            peer.raw(b"endless" * 10000)
        peer.say("", "ann: after")
        peer.close()
        code, lines, errors = client.end()
        assert [len(line) for line in lines[1:]] == [300005, 10], [line[:80] for line in lines]
        assert code == 1 and "too long" in errors, (code, errors)


def usage(*arguments, environment=None):
    with Filter(*arguments, stdin=subprocess.DEVNULL, environment=environment) as client:
        return client.end()


def test_wrong_usage_ends_with_two():
    for arguments, part in (
        (("-username", ""), "a name is needed"),
        (("-username", "  "), "a name is needed"),
        (("-username", "a\nb"), "control characters"),
        (("-username", "/who"), "does not start with '/'"),
        (("-username", "x" * 2000), "too long"),
        (("--bogus",), "--bogus"),
        (("-username", "bob", "--color", "pink"), "pink"),
        (("-username", "bob", "localhost:99999"), "HOST:PORT"),
        (("-username", "bob", "one", "two"), "one server is enough"),
        (("--env-file", "/nonexistent/file"), "/nonexistent/file"),
        (("--config", "/nonexistent/file"), "/nonexistent/file"),
    ):
        code, lines, errors = usage(*arguments)
        assert code == 2 and part in errors and lines == [], (arguments, code, errors)


def test_help_and_version():
    code, lines, _ = usage("--help")
    assert code == 0 and any("-username NAME" in line for line in lines), lines
    code, lines, _ = usage("-version")
    assert code == 0 and lines[0].startswith("tcpclient "), lines


def test_the_name_comes_from_the_environment():
    for environment, name in (({"CHAT_USERNAME": "carol", "USER": "root"}, "carol"), ({"USER": "dave"}, "dave")):
        with Fake() as server, Filter(server.address, stdin=subprocess.DEVNULL, environment=environment) as client:
            peer = server.accept().welcome(name)
            peer.close()
            assert client.end()[0] == 0


def test_without_any_the_name_is_that_of_the_account():
    with Fake() as server, Filter(server.address, stdin=subprocess.DEVNULL, environment={"USER": ""}) as client:
        peer = server.accept().welcome(pwd.getpwuid(os.geteuid()).pw_name)
        peer.close()
        assert client.end()[0] == 0


def test_options_may_follow_the_server():
    with Fake() as server, Filter(server.address, "-username", "bot", "--plain", stdin=subprocess.DEVNULL) as client:
        peer = server.accept().greet("bot")
        peer.close()
        code, lines, _ = client.end()
        assert code == 0 and lines[0].startswith("Connected to "), (code, lines)


def test_the_name_may_stand_in_a_configuration_file():
    """It is weaker than CHAT_USERNAME, but not than USER, which nearly everybody has."""
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "tcpchat"))
        with open(os.path.join(folder, "tcpchat", "tcpclient.conf"), "w", encoding="utf-8") as file:
            file.write("# me\nusername = carol\ncolor = never\n")
        for changes, name in (({"USER": "root"}, "carol"), ({"CHAT_USERNAME": "dave"}, "dave")):
            environment = {"XDG_CONFIG_HOME": folder, **changes}
            with Fake() as server, Filter(server.address, stdin=subprocess.DEVNULL, environment=environment) as client:
                peer = server.accept().welcome(name)
                peer.close()
                assert client.end()[0] == 0
        with open(file.name, "a", encoding="utf-8") as file:
            file.write("colour = never\n")
        code, _, errors = usage("-username", "bob", environment={"XDG_CONFIG_HOME": folder})
        assert code == 2 and f'{file.name}:4: "colour" is not allowed; it takes one of: username' in errors, errors
        code, lines, _ = usage("--help", environment={"XDG_CONFIG_HOME": folder})
        assert code == 0 and lines
        code, _, errors = usage("-username", "", "--config", "", environment={"XDG_CONFIG_HOME": folder})
        assert code == 2 and "a name is needed" in errors, errors


def test_closed_standard_streams_do_no_harm():
    with Fake() as server:
        process = subprocess.Popen(["sh", "-c", f"exec {program('TCPCLIENT')} -username bot {server.address} <&- >&- 2>&-"])
        peer = server.accept().welcome("bot")
        peer.say("ann: hello")
        peer.close()
        assert process.wait(60) == 0


def test_a_signal_ends_it():
    with Fake() as server, bot(server, stdin=subprocess.DEVNULL) as client:
        server.accept().welcome("bot")
        client.process.send_signal(signal.SIGTERM)
        wait_for(lambda: client.process.poll() is not None, "the end")
        assert client.process.returncode == -signal.SIGTERM


if __name__ == "__main__":
    main()
