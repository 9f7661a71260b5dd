"""The client on a terminal, as a person sees it."""

import os
import pty
import random
import re
import signal
import socket
import subprocess
import termios
import threading
import time

from support import DEADLINE, HOST, Fake, GoServer, NO_EVENTS, Terminal, WELCOME, clean_environment, main, program, wait_for
from talk import Server

HINT = "Type and press Enter. /help lists the commands, !exit or Ctrl-D leaves."


def bob(server, *arguments, **options):
    return Terminal("-username", "bob", *arguments, server.address, **options)


def greet(server, terminal, name="bob"):
    peer = server.accept().greet(name)
    terminal.wait_prompt(name)
    return peer


def leaves(terminal, peer, code=0):
    peer.expect_end()
    peer.close()
    assert terminal.ended() == code


# What is seen


def test_the_first_screen():
    with Fake() as server, bob(server, width=100) as terminal:
        greet(server, terminal).say("ann: hello", 'User "eve" just left the chat (normally)')
        terminal.wait("just left")
        rows = terminal.rows("-J")
        assert all(re.match(r"\d\d:\d\d ", row) for row in rows[:-1]), rows
        assert terminal.clock_free(rows) == [
            HINT,
            f"Connected to {server.address}(protocol: tcp)!",
            WELCOME.format("bob"),
            "ann: hello",
            'User "eve" just left the chat (normally)',
            "You(bob)>",
        ], rows


def test_a_typed_line_is_replaced_by_its_echo():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("hello", "Enter")
        peer.expect("hello")
        terminal.wait_prompt()
        assert "hello" not in "\n".join(terminal.rows())
        peer.say("bob: hello")
        terminal.wait(r"bob: hello\nYou\(bob\)>")


def test_typed_text_survives_two_thousand_lines_a_second():
    count = 6000
    text = "typed while 日本語 arrives, 😀 and all, on more than a row of the screen: 0123456789 0123456789"
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)

        def flood():
            begin = time.monotonic()
            for number in range(count):
                peer.say(f"ann: line {number} 日本 {'x' * (number % 100)}")
                ahead = begin + number / 2000 - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)

        thread = threading.Thread(target=flood)
        thread.start()
        for character in text:
            terminal.type(character)
        terminal.keys("Home", "Delete", "T", "End", "!")
        thread.join()
        wanted = "T" + text[1:] + "!"
        terminal.wait(rf"line {count - 1} 日本 x+\nYou\(bob\)> {re.escape(wanted)}\Z")
        lines = terminal.clock_free(terminal.rows("-J", "-S", "-"))
        start = lines.index("ann: line 0 日本")
        assert lines[start:-1] == [f"ann: line {number} 日本 {'x' * (number % 100)}".rstrip() for number in range(count)]
        terminal.keys("Enter")
        peer.expect(wanted)


def test_wide_characters_and_emoji_are_edited():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("日本語 😀é")
        terminal.keys("Left", "Left", "BSpace", "Home", "Right", "Delete", "X")
        terminal.wait_rows("You(bob)> 日X語😀é")
        terminal.keys("End", "BSpace", "BSpace", "Enter")
        peer.expect("日X語")
        terminal.wait_prompt()


def test_wide_characters_need_no_locale():
    with Fake() as server, bob(server, environment={"LC_ALL": "C"}) as terminal:
        peer = greet(server, terminal)
        terminal.type("日本語")
        terminal.keys("Left", "BSpace")
        terminal.wait_rows("You(bob)> 日語")
        terminal.keys("Enter")
        peer.expect("日語")


def test_the_cursor_stands_where_one_types():
    with Fake() as server, bob(server) as terminal:
        greet(server, terminal)
        terminal.type("日本語" * 20)
        terminal.keys("Home", "Right", "Right")
        wait_for(lambda: terminal.tmux("display-message", "-p", "#{cursor_x}").strip() == "14", "the cursor")
        terminal.keys("End")
        column = (10 + 120) % 80
        wait_for(lambda: terminal.tmux("display-message", "-p", "#{cursor_x}").strip() == str(column), "the cursor")


def test_a_line_that_wraps_is_resized():
    text = " ".join(f"word{number}" for number in range(40))
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type(text)
        terminal.wait_prompt(typed=text)
        for step, width in enumerate((50, 33, 120, 79, 40, 81, 80)):
            terminal.resize(width)
            peer.say(f"ann: at {width} columns, step {step}")
            terminal.wait(rf"step {step}\nYou\(bob\)> {text}\Z")
            rows = terminal.clock_free(terminal.rows("-J", "-S", "-"))  # tmux moves rows to its history when it wraps anew
            assert rows[0] == HINT and len(rows) == 5 + step and rows[-1] == "You(bob)> " + text, rows
        terminal.keys("Enter")
        peer.expect(text)


def test_a_line_that_fills_its_row_exactly():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        for length in (69, 70, 71, 149, 150, 151):
            text = "x" * length
            terminal.type(text)
            peer.say(f"ann: {length}")
            terminal.wait(rf"ann: {length}\nYou\(bob\)> {text}\n?\Z")
            terminal.keys("BSpace")
            terminal.wait(rf"ann: {length}\nYou\(bob\)> {text[:-1]}\n?\Z")
            terminal.keys("Enter")
            peer.expect(text[:-1])
            terminal.wait_prompt()
            assert "xx" not in "\n".join(terminal.rows())


def test_a_line_higher_than_the_screen_can_be_edited():
    text = "".join(f"{number:04}" for number in range(2000))
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.paste(text)
        terminal.wait("1999")
        peer.say("ann: hello")
        rows = terminal.wait("ann: hello")
        assert len(rows) <= 24 and "1999" in "\n".join(rows), rows
        terminal.keys("Home", "X")
        terminal.wait(r"ann: hello\nYou\(bob\)> X000000010002")
        terminal.keys("Enter")
        peer.expect("X" + text)
        terminal.wait_prompt()
        assert terminal.clock_free(terminal.rows("-J"))[-2:] == ["ann: hello", "You(bob)>"]


def test_the_prompt_tells_the_name_that_was_given():
    with Server() as server, Terminal("-username", "bob", f"{HOST}:{server.port}", width=100) as terminal:
        terminal.wait_prompt()
        with Terminal("-username", "bob", f"{HOST}:{server.port}", width=100) as other:
            other.wait(r"^You\(bob#[0-9a-f]{6}\)>")
            other.keys("hello", "Enter")
            terminal.wait(r"bob#[0-9a-f]{6}: hello\nYou\(bob\)>\s*\Z")
            other.wait(r"bob#[0-9a-f]{6}: hello\nYou\(bob#")
            other.keys("/quit", "Enter")
            assert other.ended() == 0
        terminal.wait("left the chat")
        terminal.keys("C-d")
        assert terminal.ended() == 0


def test_a_join_that_is_refused_for_its_words_leads_nowhere():
    """The prompt showed the room all the same, and what was typed was said there, or refused."""
    with Server() as server, Terminal("-username", "bob", f"{HOST}:{server.port}", width=100) as terminal:
        terminal.wait_prompt()
        for typed in ("/join tea with milk", "/new-room tea with milk", "/switch tea with milk"):
            terminal.keys(typed, "Enter")
            terminal.wait(rf"usage: [^\n]*{typed.split()[0]}[^\n]*\nYou\(bob\)>\s*\Z")
        terminal.keys("hello", "Enter")
        terminal.wait(r"bob: hello\nYou\(bob\)>\s*\Z")
        terminal.keys("C-d")
        assert terminal.ended() == 0


def styles(terminal):
    return re.findall(r"\x1b\[([0-9;]*)m(ann|bob|eve|dan)\b", terminal.tmux("capture-pane", "-p", "-e"))


def test_a_name_keeps_its_colour():
    with Fake() as server, bob(server) as terminal:
        greet(server, terminal).say("ann: 1", "eve: 2", "ann: 3", "bob: 4")
        terminal.wait("bob: 4")
        found = styles(terminal)
        colors = {name: {style.split(";")[-1] for style, other in found if other == name} for name in ("ann", "eve", "bob")}
        assert all(len(value) == 1 for value in colors.values()), found
        assert colors["ann"] != colors["eve"], found


def test_no_color_and_color_never_mean_no_colours():
    for arguments, environment, colored in (
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "never"), {}, False),
        ((), {"CHAT_COLOR": "never"}, False),
        ((), {"NO_COLOR": ""}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
    ):
        with Fake() as server, bob(server, *arguments, environment=environment) as terminal:
            greet(server, terminal).say("ann: hello", "! some-code: an error")
            terminal.wait("an error")
            assert ("\x1b[" in terminal.tmux("capture-pane", "-p", "-e")) == colored, (arguments, environment)


def test_a_hostile_server_does_not_reach_the_terminal():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("kept")
        peer.raw(b"ann: \x1b]2;owned\x07\x1b[2J\x1b[31m\x1bc\x1b[?1049h\x1b[?25l\x9b31m\xc2\x9b5n\r\x08\x08\n")
        peer.raw(b"ann: 100%d %n%s%s%s \xff\xfe\xc0\x80 \xed\xa0\x80\n\x1b[200~typed by the server\n\x1b[201~\n")
        peer.raw("* Welcome \x1b[31mmallory\x1b[0m - tcpchat/1\n".encode())
        for _ in range(60):
            peer.raw(b"no end " * 10000)
        peer.raw(b"\nann: after\n")
        rows = terminal.wait(r"ann: after\nYou\(bob\)> kept\Z")
        text = "\n".join(rows)
        assert "100%d %n%s%s%s" in text, text
        assert "too long to be shown" in text, text
        assert "owned[2J[31mc[?1049h[?25l" in text, text
        assert "owned" not in terminal.tmux("display-message", "-p", "#{pane_title}")
        assert terminal.tmux("display-message", "-p", "#{alternate_on}#{cursor_flag}").strip() == "01"
        terminal.keys("Enter")
        peer.expect("kept")


def test_a_line_of_three_hundred_thousand_bytes_passes():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        peer.say("ann: " + "z" * 299990 + "END")
        terminal.wait(r"zEND\nYou\(bob\)>")


# Keys


def test_a_paste_of_several_lines_asks():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("before after")
        terminal.keys(*["Left"] * 6)
        terminal.paste("one\ntwo\n\nthree")
        terminal.wait(r"^Send as 4 lines\? \[y/N\], or as one with ␤ between\? \[o\] ?\Z")
        peer.say("ann: meanwhile")
        terminal.wait(r"ann: meanwhile\nSend as 4 lines")
        terminal.keys("n")
        terminal.wait_prompt(typed="before after")
        for key in ("Enter", "Escape", "C-c", "C-d", "Up"):
            terminal.paste("one\ntwo")
            terminal.wait("^Send as 2 lines")
            terminal.keys(key)
            terminal.wait_prompt(typed="before after")
        terminal.paste("one\ntwo\n\nthree")
        terminal.wait("^Send as 4 lines")
        terminal.keys("y")
        peer.expect("beforeone", "two", "", "three after")
        terminal.wait_prompt()
        terminal.keys("marker", "Enter")
        peer.expect("marker")


def test_a_paste_of_several_lines_may_be_one_message():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.paste("one\ntwo\n\nthree\n")
        terminal.wait("^Send as 4 lines")
        terminal.keys("o")
        peer.expect("one␤two␤␤three")
        terminal.wait_prompt()


def test_alt_enter_makes_a_line_end():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("one", "M-Enter", "two")
        terminal.wait_prompt(typed="one␤two")
        terminal.keys("Enter")
        terminal.wait("^Send as 2 lines")
        terminal.keys("y")
        peer.expect("one", "two")


def test_a_line_is_edited_in_an_editor():
    with Fake() as server, bob(server, environment={"EDITOR": "sed -i s/o/00/"}) as terminal:
        peer = greet(server, terminal)
        terminal.keys("one", "C-x", "C-e")
        terminal.wait_prompt(typed="00ne")
        terminal.keys("Enter")
        peer.expect("00ne")
    with Fake() as server, bob(server, environment={"EDITOR": "false"}) as terminal:
        peer = greet(server, terminal)
        terminal.keys("one", "C-x", "C-e", "!", "Enter")
        peer.expect("one!")


def test_after_a_paste_that_ends_its_last_line_the_rest_stays():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("rest")
        terminal.keys("Home")
        terminal.paste("one\ntwo\n")
        terminal.wait("^Send as 2 lines")
        terminal.keys("y")
        peer.expect("one", "two")
        terminal.wait_prompt(typed="rest")


def test_a_paste_of_one_line_is_typed_text():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("<>")
        terminal.keys("Left")
        terminal.paste("日本 \x1b[31m\tx\n")
        terminal.keys("Enter")
        peer.expect("<日本 [31m\tx>")


def test_a_big_paste_is_sent_whole():
    lines = [f"line {number} " + "x" * 100 for number in range(900)]
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.paste("\n".join(lines))
        terminal.wait("^Send as 900 lines")
        terminal.keys("y")
        peer.expect(*lines)


def test_a_line_end_typed_into_the_line_asks_too():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("one", "C-v", "C-j", "two", "Enter")
        terminal.wait("^Send as 2 lines")
        terminal.keys("y")
        peer.expect("one", "two")


def test_ctrl_c_clears_the_line():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("nonsense")
        terminal.wait_prompt(typed="nonsense")
        terminal.keys("C-c")
        terminal.wait_prompt()
        terminal.keys("C-r", "x", "C-c")
        terminal.wait_prompt()
        terminal.keys("sense", "Enter")
        peer.expect("sense")
        os.kill(terminal.pid(), signal.SIGINT)
        terminal.keys("still here", "Enter")
        peer.expect("still here")


def test_history_brings_lines_back():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("first", "Enter", "second", "Enter")
        peer.expect("first", "second")
        terminal.keys("Up", "Up")
        terminal.wait_prompt(typed="first")
        terminal.keys("!", "Enter")
        peer.expect("first!")
        terminal.keys("C-r", "seco")
        terminal.wait(r"i-search\)`seco': second")
        terminal.keys("Enter")
        peer.expect("second")


def test_a_search_is_ended_by_any_key():
    """readline 8.2 in callback mode reads through NULL when a key of several bytes ends a search in the history."""
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("found", "Enter")
        peer.expect("found")
        for keys in (("C-x", "e"), ("C-x", "*"), ("Left", "Right"), ("M-f",), ("Escape",)):
            terminal.keys("C-r", "fou")
            terminal.wait(r"i-search\)`fou': found")
            terminal.keys(*keys)
            terminal.wait_prompt(typed="found")
            terminal.keys("End", "Enter")
            peer.expect("found")


def random_key(chance):
    """A key as it comes from a keyboard; not those that leave or suspend."""
    kind = chance.random()
    if kind < 0.35:
        return chance.choice(["a", "b c", "日", "😀", "é", "x" * 30, " ", "/who", "e\u0301"]).encode()
    if kind < 0.60:
        return bytes([chance.choice([code for code in range(1, 32) if code not in (0x04, 0x1A, 0x1B)])])
    if kind < 0.75:
        return b"\x1b" + chance.choice([b"[A", b"[B", b"[C", b"[D", b"[H", b"[F", b"[3~", b"OP", b"[15~", b"[1;5C", b""])
    if kind < 0.85:
        return b"\x1b" + bytes([chance.choice([code for code in range(32, 127) if code not in b"[O"])])
    if kind < 0.90:
        return b"\x18" + chance.choice([b"\x15", b"(", b")", b"e", b"\x18", b"\x7f", b"\x07", b"*", b"\x12"])
    if kind < 0.93:
        return b"\x1b[200~" + chance.choice([b"one", b"one\rtwo", b"\r", b"x" * 200, b"\xff\n"]) + b"\x1b[201~"
    return chance.choice([b"\xff", b"\xe6", b"\x7f", b"\r"])


def test_random_keys_do_no_harm():
    # what readline itself loses while a history is edited wildly is not looked for
    options = os.environ.get("ASAN_OPTIONS", "").replace("detect_leaks=1", "detect_leaks=0")
    for seed in range(4):
        chance = random.Random(seed)
        with Fake() as server, bob(server, environment={"ASAN_OPTIONS": options}) as terminal:
            peer = greet(server, terminal)
            for number in range(80):
                keys = b"".join(random_key(chance) for _ in range(15))
                terminal.tmux("send-keys", "-H", *(f"{byte:02x}" for byte in keys))
                peer.say(f"ann: {number}")
                if number % 8 == 0:
                    terminal.tmux("resize-window", "-x", str(chance.choice([1, 2, 20, 80, 200])), "-y", "24")
            terminal.resize(80)
            terminal.keys("C-c", "C-c", "C-c", "marker", "Enter")
            while peer.line() != "marker":
                pass
            terminal.keys("C-c", "C-d")
            leaves(terminal, peer)


def test_keys_that_mean_nothing_leave_nothing():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("F5", "F12", "C-Up", "PPage", "a", "Tab", "b", "Enter")
        peer.expect("ab")


def test_enter_on_an_empty_line_sends_nothing():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("Enter", "Enter", "x", "Enter")
        peer.expect("x")


def test_a_line_that_is_too_long_is_not_sent_and_not_lost():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.paste("x" * 65536)
        terminal.keys("Enter")
        terminal.wait("65535 bytes, and here one has 65536")
        terminal.keys("End", "BSpace", "Enter")
        peer.expect("x" * 65535)


# Leaving


def test_exit_leaves_in_any_case():
    for word in ("!exit", "!EXIT", " !Exit "):
        with Fake() as server, bob(server) as terminal:
            peer = greet(server, terminal)
            terminal.keys(word, "Enter")
            leaves(terminal, peer)
            assert f"Terminating TCP connection with the server({server.address})" in "\n".join(terminal.rows("-J"))


def test_ctrl_d_leaves_on_an_empty_line_only():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("ab", "Left", "C-d", "Enter")
        peer.expect("a")
        terminal.keys("C-d")
        leaves(terminal, peer)


def test_what_was_typed_before_leaving_is_sent():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("last words", "Enter", "!exit", "Enter")
        peer.expect("last words")
        leaves(terminal, peer)


def test_quit_is_for_the_server():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("/quit", "Enter")
        peer.expect("/quit")
        peer.say("* Goodbye bob.")
        peer.close()
        assert terminal.ended() == 0
        assert "Goodbye bob" in "\n".join(terminal.rows("-J"))


def test_signals_end_it_and_the_terminal_is_restored():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        with Fake() as server, bob(server) as terminal:
            peer = greet(server, terminal)
            terminal.type("typed")
            terminal.wait_prompt(typed="typed")
            os.kill(terminal.pid(), number)
            leaves(terminal, peer, 128 + number)


def test_a_crash_restores_the_terminal():
    for number in (signal.SIGABRT, signal.SIGSEGV):
        with Fake() as server, bob(server) as terminal:
            greet(server, terminal)
            os.kill(terminal.pid(), number)
            assert terminal.ended() != 0
            # a sanitizer reports the signal, which is no fault here
            (terminal.path / "errors").write_text("")


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def test_ctrl_z_gives_the_terminal_back_meanwhile():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.type("typed")
        terminal.wait_prompt(typed="typed")
        os.kill(terminal.pid(), signal.SIGTSTP)
        wait_for(lambda: state(terminal.pid()) == "T", "the stop")
        tty = os.readlink(f"/proc/{terminal.pid()}/fd/0")
        wait_for(lambda: os.popen(f"stty -g <{tty}").read() == terminal.modes("before"), "the terminal as before")
        peer.say("ann: meanwhile")
        os.kill(terminal.pid(), signal.SIGCONT)
        terminal.wait(r"ann: meanwhile\nYou\(bob\)> typed\Z")
        terminal.keys("Enter")
        peer.expect("typed")
        terminal.keys("C-d")
        leaves(terminal, peer)


def test_a_refused_name_ends_it():
    with Fake() as server, bob(server) as terminal:
        peer = server.accept()
        peer.expect("bob")
        peer.say("! bad-name: not this one; choose another and send it as the first line")
        peer.close()
        assert terminal.ended() == 1
        assert "! bad-name" in "\n".join(terminal.rows("-J"))
        assert "choose another one with -username" in (terminal.path / "errors").read_text()


def test_it_can_be_left_while_there_is_no_server():
    with Fake() as server:
        address = server.address
    with Terminal("-username", "bob", address) as terminal:
        terminal.wait("Error while connecting .*Connection refused.*\n\\(offline\\) You")
        terminal.keys("!exit", "Enter")
        assert terminal.ended() == 0


def test_what_was_not_sent_is_told_at_the_end():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        server.listener.close()
        peer.close()
        terminal.wait("is gone")
        terminal.keys("one", "Enter", "two", "Enter", "/quit", "Enter")
        assert terminal.ended() == 0
        assert "was not sent (lines: 2)" in "\n".join(terminal.rows())


def test_it_can_be_left_while_it_connects():
    """A connection that is never accepted, because the queue is full: connect() waits for minutes."""
    listener = socket.create_server((HOST, 0), backlog=0)
    crowd = []
    for _ in range(3):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        crowd.append(client)
    with Terminal("-username", "bob", "%s:%d" % listener.getsockname()) as terminal:
        terminal.wait(r"leaves.\n\(offline\) You\(bob\)>")
        terminal.keys("!exit", "Enter")
        assert terminal.ended() == 0
    for client in [listener, *crowd]:
        client.close()


def test_a_terminal_that_goes_away_ends_it():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        pid = terminal.pid()
        terminal.keys("sent", "Enter")
        peer.expect("sent")
        terminal.tmux("kill-pane")
        peer.expect_end()
        peer.close()
        wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the client")
        terminal.tmux("-f", str(terminal.path / "conf"), "new-session", "-d")  # for the kill at the end


def test_a_terminal_that_takes_nothing_does_not_keep_it_alive():
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    with Fake() as server:
        process = subprocess.Popen([program("TCPCLIENT"), "-username", "bob", server.address], stdin=slave, stdout=slave,
                                   stderr=subprocess.DEVNULL, env=clean_environment({"TERM": "xterm"}))
        try:
            peer = server.accept().greet("bob")
            peer.connection.settimeout(1)
            try:
                while True:
                    peer.say("ann: " + "x" * 1000)
            except TimeoutError:
                pass  # nobody reads the terminal, so the client does not read any more either
            assert termios.tcgetattr(slave) != before
            process.terminate()
            process.wait(DEADLINE)
            assert termios.tcgetattr(slave) == before
        finally:
            process.kill()
            process.wait()
            os.close(master)
            os.close(slave)


# The server goes and comes


def test_what_is_typed_while_the_server_is_gone_is_sent_when_it_is_back():
    with Fake() as server:
        with bob(server) as terminal:
            peer = greet(server, terminal)
            terminal.type("unfinished")
            terminal.wait_prompt(typed="unfinished")
            server.listener.close()
            peer.say("== The server(127.0.0.1:7777) was terminated its operation... Goodbye. ==")
            peer.close()
            terminal.wait(r"is gone.*\n\(offline\) You\(bob\)> unfinished\Z")
            terminal.keys("C-u", "one", "Enter", "two", "Enter", "unfinished")
            terminal.wait(r"\(waits for the server\) one\n.*\(waits for the server\) two\n\(offline\) You\(bob\)> unfinished\Z")
            with Fake(server.port) as again:
                peer = again.accept()
                peer.expect("bob")
                terminal.wait("Connected to .*\n(.*\n)*.*Connected to ")
                assert peer.received == b""
                peer.say(WELCOME.format("bob"))
                peer.expect("/events")
                peer.say(NO_EVENTS)
                peer.expect("one", "two")
                terminal.wait_prompt(typed="unfinished")
                terminal.keys("Enter")
                peer.expect("unfinished")


def test_lines_without_an_echo_are_sent_again():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.keys("one", "Enter", "two", "Enter", "/who", "Enter", "three", "Enter")
        peer.expect("one", "two", "/who", "three")
        peer.say("bob: one")
        terminal.wait("bob: one")
        peer.reset()
        peer = server.accept().greet("bob")
        peer.expect("two", "three")
        peer.say("bob: two", "bob: three")
        terminal.wait("bob: three")
        peer.reset()
        peer = server.accept().greet("bob")
        terminal.keys("four", "Enter")
        peer.expect("four")


def test_to_a_gotcp_server_nothing_is_sent_again():
    with Fake() as server, bob(server) as terminal:
        peer = server.accept()
        peer.expect("bob")
        peer.say("ann: hello")
        terminal.wait_prompt()
        terminal.keys("one", "Enter", "two", "Enter")
        peer.expect("one", "two")
        peer.say("bob: one")
        terminal.wait("bob: one")
        peer.close()
        terminal.wait(r"last lines \(1\) may not have arrived")
        peer = server.accept()
        peer.expect("bob")
        peer.say("ann: hello again")
        terminal.keys("three", "Enter")
        peer.expect("three")


def test_no_more_than_a_thousand_lines_wait():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        server.listener.close()
        peer.close()
        terminal.wait("is gone")
        terminal.paste("x\n" * 998)
        terminal.wait("^Send as 998 lines")
        terminal.keys("y")
        terminal.wait("waits for the server: 998 lines")
        terminal.keys("999", "Enter", "1000", "Enter", "1001", "Enter")
        terminal.wait(r"no more than 1000 lines can wait.*\n\(waits for the server: 1000 lines\)\n\(offline\) You\(bob\)> 1001\Z")


def test_a_full_server_is_tried_again():
    with Fake() as server, bob(server) as terminal:
        for _ in range(2):
            peer = server.accept()
            peer.expect("bob")
            peer.say("! server-full: 10 clients are here already; try again later")
            peer.close()
        greet(server, terminal)
        assert "\n".join(terminal.rows()).count("! server-full") == 2


def test_a_server_that_is_killed_is_noticed_and_found_again():
    server = Server()
    try:
        with Terminal("-username", "bob", f"{HOST}:{server.port}", width=120) as terminal:
            terminal.wait_prompt()
            terminal.keys("before", "Enter")
            terminal.wait("bob: before")
            server.process.kill()
            server.process.wait()
            terminal.wait(r"is gone.*\n\(offline\)")
            terminal.keys("after", "Enter")
            terminal.wait(r"\(waits for the server\) after")
            with Server(listen=(f"{HOST}:{server.port}",)):
                terminal.wait(r"bob: after\nYou\(bob\)>\s*\Z")
                terminal.keys("C-d")
                assert terminal.ended() == 0
    finally:
        server.process.kill()
        server.process.wait()


def test_a_gotcp_server_is_understood():
    with GoServer() as server, Terminal("-username", "bob", server.address) as terminal:
        terminal.wait_prompt()
        terminal.keys("hello", "Enter")
        terminal.wait("bob: hello")
        with Terminal("-username", "ann", server.address) as other:
            other.wait_prompt("ann")
            terminal.wait('User "ann" just joined the chat!')
            other.keys("* not a notice", "Enter")
            terminal.wait(r"ann: \* not a notice")
            other.keys("!exit", "Enter")
            assert other.ended() == 0
        terminal.wait(r'User "ann" just left the chat \(normally\)')


def test_it_reads_while_the_server_does_not():
    with Fake() as server, bob(server) as terminal:
        peer = greet(server, terminal)
        terminal.paste("\n".join(["y" * 4000] * 900))
        terminal.wait("^Send as 900 lines", DEADLINE)
        terminal.keys("y")
        terminal.wait_prompt()
        for number in range(3000):
            peer.say(f"ann: {number} " + "z" * 1000)
        terminal.wait(r"ann: 2999 z+\nYou\(bob\)>")
        peer.expect(*["y" * 4000] * 900)


if __name__ == "__main__":
    main()
