"""
What the tests of the client share: servers that say exactly what a test wants, and terminals to look at.

Nothing here sleeps to give the client time: a test waits until the screen shows something, or until the server was told
something. Deadlines are only there so that a failure ends.
"""

import os
import pathlib
import re
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "talk"))

from talk import BUILD_KIND, DEADLINE, SANITIZER_REPORT, clean_environment, main, program, skip, wait_for  # noqa: E402,F401

HOST = "127.0.0.1"
WELCOME = "* Welcome {} - tcpchat/1. You are in lobby. /help lists the commands, /quit leaves."

NO_EVENTS = "! unknown-command: there is no command /events; /help lists the commands, //events says it as text"


class Peer:
    """One connection, as the server sees it."""

    def __init__(self, connection):
        self.connection = connection
        self.connection.settimeout(DEADLINE)
        self.received = b""

    def line(self):
        while b"\n" not in self.received:
            more = self.connection.recv(65536)
            if not more:
                raise AssertionError(f"the client closed; before: {self.received!r}")
            self.received += more
        line, self.received = self.received.split(b"\n", 1)
        return line.decode(errors="surrogateescape")

    def expect(self, *lines):
        for wanted in lines:
            line = self.line()
            assert line == wanted, f"got {line[:200]!r}, not {wanted[:200]!r}"

    def expect_end(self):
        assert self.received == b"", f"left over: {self.received!r}"
        more = self.connection.recv(65536)
        assert more == b"", f"not the end: {more!r}"

    def raw(self, data):
        self.connection.sendall(data)

    def say(self, *lines):
        self.raw("".join(line + "\n" for line in lines).encode())

    def welcome(self, name):
        """Takes the name and answers as tcpchat does."""
        self.expect(name)
        self.say(WELCOME.format(name))
        return self

    def greet(self, name):
        """The same with a client that asks for events, which this server does not know."""
        self.welcome(name)
        self.expect("/events")
        self.say(NO_EVENTS)
        return self

    def close(self):
        """Says that no more comes, and waits until the client has closed too, so that nothing is lost."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(65536):
                pass
        except OSError:
            pass
        self.connection.close()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Fake:
    """A server that the test plays: it takes connections one by one."""

    def __init__(self, port=0):
        self.listener = socket.create_server((HOST, port))
        self.listener.settimeout(DEADLINE)
        self.port = self.listener.getsockname()[1]
        self.address = f"{HOST}:{self.port}"
        self.peers = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for peer in self.peers:
            peer.connection.close()
        self.listener.close()

    def accept(self):
        connection, _ = self.listener.accept()
        self.peers.append(Peer(connection))
        return self.peers[-1]


class GoServer:
    """A server with goTCP's manners: no welcome, an echo to everyone, and what comes together with the name is lost."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.address = "%s:%d" % self.listener.getsockname()
        self.members = []
        self.lock = threading.Lock()
        threading.Thread(target=self.run, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.listener.close()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def tell(self, line, but=None):
        with self.lock:
            for member in self.members:
                if member is not but:
                    member.sendall(line.encode() + b"\n")

    def serve(self, connection):
        name = connection.recv(4096).split(b"\n")[0].decode()
        with self.lock:
            self.members.append(connection)
        self.tell(f'User "{name}" just joined the chat!', connection)
        for line in connection.makefile("rb"):
            self.tell(f"{name}: {line.rstrip(b'%c%c' % (13, 10)).decode()}")
        with self.lock:
            self.members.remove(connection)
        connection.close()
        self.tell(f'User "{name}" just left the chat (normally)')


def unwrap_waiting(rows):
    """What waits for the server is shown in rows of its own that are one line with the prompt; as lines."""
    text = "\n".join(rows)
    while (single := re.sub(r"^(\(waits for the server.*?) {2,}(?=\S)", r"\1\n", text, flags=re.MULTILINE)) != text:
        text = single
    return text.split("\n")


class Terminal:
    """The client on a terminal: a tmux of its own with one window."""

    def __init__(self, *arguments, width=80, height=24, environment=None):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpclient-")
        self.path = pathlib.Path(self.folder.name)
        self.environment = clean_environment({"LC_ALL": "C.UTF-8", "XDG_STATE_HOME": self.folder.name, "EDITOR": "true", **(environment or {})})
        self.environment.setdefault("TERM", "xterm-256color")
        command = shlex.join([program("TCPCLIENT"), *map(str, arguments)])
        (self.path / "script").write_text(
            f"cd {self.path}\n"
            "stty -g >before\n"
            f"sh -c 'echo $$ >pid; exec {command} 2>errors'\n"
            "echo $? >code.new\n"
            "stty -g >after\n"
            "mv code.new code\n"
            "exec sleep 1000\n"
        )
        (self.path / "conf").write_text(
            "set -g default-terminal tmux-256color\nset -g history-limit 50000\nset -g status off\n")
        self.tmux("-f", str(self.path / "conf"), "new-session", "-d", "-x", str(width), "-y", str(height),
                  f"exec sh {self.path}/script")

    def tmux(self, *arguments, text=None):
        done = subprocess.run(["tmux", "-u", "-S", str(self.path / "socket"), *arguments], input=text,
                              env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
                              encoding="utf-8")
        assert done.returncode == 0, f"tmux {arguments}: {done.stderr}"
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            print("--- the screen:")
            print("\n".join(self.rows()))
            print("--- the client's standard error:")
            print((self.path / "errors").read_text(errors="replace"))
        if not (self.path / "code").exists():
            self.kill()
        self.tmux("kill-server")
        reports = (self.path / "errors").read_text(errors="replace") if (self.path / "errors").exists() else ""
        self.folder.cleanup()
        if kind is None:
            assert not SANITIZER_REPORT.search(reports), reports

    def kill(self):
        """Ends a client that the test has no more questions for; nothing may be left of it."""
        try:
            os.kill(self.pid(), signal.SIGKILL)
            wait_for((self.path / "code").exists, "the end of the script")  # or it writes where the folder is removed
        except (AssertionError, ProcessLookupError):
            pass

    def pid(self):
        wait_for(lambda: (self.path / "pid").exists() and (self.path / "pid").read_text().endswith("\n"), "the pid")
        return int((self.path / "pid").read_text())

    def keys(self, *keys):
        """Keys by tmux's names; anything else is typed as it is."""
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def paste(self, text):
        """As a terminal pastes: with the marks of bracketed paste, if the program has asked for them."""
        self.tmux("load-buffer", "-", text=text)
        self.tmux("paste-buffer", "-p")

    def resize(self, width, height=24):
        """Until the program can know it: tmux tells up to a quarter of a second after it has wrapped the screen anew."""
        self.tmux("resize-window", "-x", str(width), "-y", str(height))
        with open(self.tmux("display-message", "-p", "#{pane_tty}").strip(), "rb", buffering=0) as tty:
            wait_for(lambda: os.get_terminal_size(tty.fileno()) == (width, height), "the new size")

    def rows(self, *options):
        """The screen's rows, without the empty ones at its end."""
        return self.tmux("capture-pane", "-p", *options).rstrip("\n").split("\n")

    def history(self):
        """All rows since the beginning."""
        return self.rows("-S", "-")

    def wait(self, pattern, what=None):
        """Waits until the screen as a whole matches; returns its rows. Rows that were wrapped are joined."""
        seen = []

        def shows():
            seen[:] = unwrap_waiting(self.rows("-J"))
            return re.search(pattern, "\n".join(row.rstrip() for row in seen), re.MULTILINE)

        wait_for(shows, what or f"{pattern!r} on the screen")
        return seen

    def wait_rows(self, *wanted):
        """Waits until the last rows of the screen are these."""
        def shows():
            return [row.rstrip() for row in self.rows()[-len(wanted):]] == list(wanted)

        try:
            wait_for(shows, "the rows")
        except AssertionError:
            raise AssertionError(f"the screen does not end with {wanted}") from None

    def wait_prompt(self, name="bob", typed=""):
        self.wait(r"^You\(%s\)> ?%s\Z" % (re.escape(name), re.escape(typed)))

    def clock_free(self, rows):
        return [re.sub(r"^\d\d:\d\d ", "", row).rstrip() for row in rows]

    def modes(self, when):
        return (self.path / when).read_text()

    def ended(self):
        """Waits until the client has ended; the terminal must be as before. Returns its exit code."""
        wait_for((self.path / "code").exists, "the end of the client")
        assert self.modes("before") == self.modes("after"), "the terminal was not restored"
        flags = self.tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}").split()
        assert flags == ["1", "0"], flags
        self.tmux("load-buffer", "-", text="marks?")
        self.tmux("paste-buffer", "-p")
        self.wait("marks[?]$")
        assert "[200~" not in "\n".join(self.rows()), "bracketed paste was left on"
        return int((self.path / "code").read_text())


class Filter:
    """The client as a filter. Its output goes to a file, so that nobody has to read it meanwhile."""

    def __init__(self, *arguments, stdin=subprocess.PIPE, environment=None, stdout=None):
        self.output = tempfile.TemporaryFile()
        self.folder = tempfile.TemporaryDirectory(prefix="tcpclient-")
        environment = {"XDG_STATE_HOME": self.folder.name, **(environment or {})}
        self.process = subprocess.Popen([program("TCPCLIENT"), *map(str, arguments)], stdin=stdin, stdout=stdout or self.output,
                                        stderr=subprocess.PIPE, env=clean_environment(environment))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self.output.close()
        self.folder.cleanup()

    def give(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def no_more(self):
        self.process.stdin.close()
        self.process.stdin = None

    def end(self, data=None):
        """Gives the rest of the input; returns exit code, output lines, and errors."""
        _, errors = self.process.communicate(data, timeout=DEADLINE)
        self.output.seek(0)
        out = self.output.read()
        errors = errors.decode(errors="replace")
        assert not SANITIZER_REPORT.search(errors), errors
        return self.process.returncode, out.decode().split("\n")[:-1], errors


def terminate(terminal, number=signal.SIGTERM):
    os.kill(terminal.pid(), number)


def now():
    return time.monotonic()
