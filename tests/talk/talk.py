"""
What the conversations share: a real server on a free port, clients that speak the line protocol, and a way to run one test.

        def test_the_author_gets_an_echo():
            with Server() as server:
                bob = server.join("bob")
                bob.say("hello")
                bob.expect("bob: hello")

Nothing here sleeps to give the server time: a client waits for lines. "Nothing comes" is said with a marker: the next
line is the one that belongs to something which was caused later. Deadlines are only there so that a failure ends.

Environment: TCPSERVER, TCPCLIENT (the programs), BUILD_KIND (plain, asan, tsan), TALK_JOURNAL (as sqlite:chat.db),
TALK_ENGINES (redis).
"""

import atexit
import contextlib
import ctypes
import faulthandler
import functools
import os
import re
import resource
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SKIPPED = 77
BUILD_KIND = os.environ.get("BUILD_KIND", "plain")
# How long to wait for something that has to come. A busy machine and a sanitizer make everything slower.
DEADLINE = {"plain": 25, "asan": 50, "tsan": 80}.get(BUILD_KIND, 50)
MAX_LINE = 65535
JOURNAL = os.environ.get("TALK_JOURNAL", "memory")  # where a test does not say which
TAG = r"#[0-9a-f]{6}"
SANITIZER_REPORT = re.compile(r"Sanitizer: |Sanitizer:DEADLYSIGNAL|: runtime error: |WARNING: ThreadSanitizer")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_PR_SET_PDEATHSIG = 1


class Skip(Exception):
    """The test cannot run here; the text says why."""


def skip(reason):
    raise Skip(reason)


def scaled(count):
    """How many clients a crowd has in this kind of build."""
    return {"plain": count, "asan": count // 4, "tsan": count // 10}.get(BUILD_KIND, count // 10)


def wait_for(condition, what, seconds=DEADLINE):
    """For what can only be asked again and again, such as a file in /proc. Lines are waited for with expect()."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for this: {what}")
        time.sleep(0.01)


def raise_descriptor_limit(needed):
    """Lets this process have 'needed' descriptors, or skips the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        skip(f"needs {needed} descriptors, the limit here is {hard}")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))


def program(variable):
    path = os.environ.get(variable)
    if not path:
        raise AssertionError(f"{variable} is not set; it has to hold the path of the program")
    if not os.path.exists(path):
        skip(f"there is no {path}")
    return os.path.abspath(path)


@functools.cache
def empty_folder():
    """A folder for this process, which goes with it; some programs write into it."""
    folder = tempfile.TemporaryDirectory(prefix="tcpchat-empty-")
    atexit.register(folder.cleanup)
    return folder.name


def clean_environment(changes=None):
    """This process's environment without the variables and the configuration that our programs understand."""
    predecessors = ("APP_PORT", "SERVER_PORT", "REDIS_ADDRESS", "RABBITMQ_URL", "DATABASE_URL", "IS_TLS",
                    "SERVER_KEY", "SERVER_CERTIFICATE", "STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC",
                    "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    result = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHAT_") and name not in predecessors
    }
    result["XDG_CONFIG_HOME"] = empty_folder()
    result.update(changes or {})
    return result


def run_server(*arguments, environment=None, seconds=DEADLINE):
    """Runs the server to its end (for options that do not start one); returns exit code, output, errors."""
    done = subprocess.run(
        [program("TCPSERVER"), *arguments],
        env=clean_environment(environment),
        cwd=empty_folder(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@contextlib.contextmanager
def fresh_journal(kind):
    """The option for a journal of this kind that holds nothing."""
    if kind != "redis":
        yield kind
        return
    sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))
    import redis
    try:
        database = redis.Redis(appendfsync="everysec")
    except redis.Skip as reason:
        skip(str(reason))
    with database:
        yield database.url


def on_each_journal(test):
    """Runs a test with each kind of journal, whose option it is given; or with TEST_ENGINE_URL, after TEST_ENGINE_EMPTY, alone."""
    @functools.wraps(test)
    def run():
        missing = []
        engine = os.environ.get("TEST_ENGINE_URL")
        if engine is not None:
            subprocess.run(os.environ["TEST_ENGINE_EMPTY"], shell=True, check=True)
            print(f"with --journal {engine}:", flush=True)
            test(engine)
            return
        for kind in ("memory", "sqlite:chat.db", *os.environ.get("TALK_ENGINES", "").split()):
            print(f"with --journal {kind}:", flush=True)
            try:
                with fresh_journal(kind) as journal:
                    test(journal)
            except Skip as reason:
                missing.append(str(reason))
        if missing:
            skip("; ".join(missing))
    return run


class Lines:
    """Collects the lines of a pipe in a thread of its own, so that whoever writes them never waits."""

    def __init__(self, pipe):
        self.lines = []
        self.ended = False
        self._changed = threading.Condition()
        self._pipe = pipe
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self):
        with contextlib.suppress(ValueError, OSError):  # stop() closes the pipe
            for line in self._pipe:
                with self._changed:
                    self.lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def text(self):
        with self._changed:
            return "\n".join(self.lines)

    def find(self, pattern, start=0):
        """The first match in a line, from line number 'start' on, or None."""
        with self._changed:
            for line in self.lines[start:]:
                match = re.search(pattern, line)
                if match:
                    return match
        return None

    def wait(self, pattern, count=1, seconds=DEADLINE):
        """Waits until 'count' lines match; returns their matches."""
        end = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [match for match in (re.search(pattern, line) for line in self.lines) if match]
                if len(found) >= count:
                    return found[:count]
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "the program ended" if self.ended else f"waited {seconds} s"
                    raise AssertionError(
                        f"{why}, but there are {len(found)} of {count} lines like {pattern!r} in:\n"
                        + "\n".join(self.lines[-40:])
                    )
                self._changed.wait(left)

    def join(self):
        self._thread.join(DEADLINE)


# What Server does before a server starts, in a program of its own: the threads of gRPC, once it is loaded, bear no fork.
LAUNCH = f"""
import ctypes, os, resource, sys
ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, ctypes.c_ulong({int(signal.SIGKILL)}), 0, 0, 0)
if sys.argv[1] != "":
    resource.setrlimit(resource.RLIMIT_NOFILE, tuple(int(limit) for limit in sys.argv[1].split()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Server:
    """
    A server that runs as long as the 'with' block. At its end SIGTERM must end it with exit code 0, and no sanitizer may
    have reported anything, at whatever place in the block the test ended.

    listen       the addresses
    journal      None leaves the option out; a file without a folder is in one of the server's own
    history      what who comes is shown of what was said before; None leaves the option out
    descriptors  the hard and soft limit of descriptors, or a pair (soft, hard)
    preload      a library for LD_PRELOAD
    log          a descriptor to write the log to, instead of collecting it
    launcher     a command that starts the server, which stands behind it; 'passed' are descriptors for that one
    """

    def __init__(self, *arguments, listen=("127.0.0.1:0",), journal=JOURNAL, history="none", environment=None,
                 descriptors=None, preload=None, log=None, launcher=(), passed=()):
        command = [*launcher, program("TCPSERVER")]
        for place in listen:
            command += ["--listen", place]
        if journal is not None:
            command += ["--journal", journal]
        if history is not None:
            command += ["--history", history]
        command += arguments
        changes = dict(environment or {})
        if preload is not None:
            changes["LD_PRELOAD"] = preload
        if isinstance(descriptors, int):
            descriptors = (descriptors, descriptors)

        def before_start():
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)

        forks = "grpc" not in sys.modules
        if not forks:
            limits = "" if descriptors is None else f"{descriptors[0]} {descriptors[1]}"
            command = [sys.executable, "-S", "-c", LAUNCH, limits, *command]
        self.clients = []
        self.checked = False
        self.folder = None
        if journal is None or re.fullmatch("sqlite:[^/]+", journal):
            self.folder = tempfile.TemporaryDirectory(prefix="tcpchat-server-")
        self.process = subprocess.Popen(
            command,
            env=clean_environment(changes),
            cwd=None if self.folder is None else self.folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if log is None else log,
            preexec_fn=before_start if forks else None,
            pass_fds=passed,
        )
        self.pid = self.process.pid
        self.output = Lines(self.process.stdout)
        self.log = Lines(self.process.stderr if log is None else ())
        try:
            found = self.output.wait(
                r"^\[O\] The server is now listening from (.+):(\d+)\(protocol: tcp\)$", max(1, len(listen)))
        except AssertionError as error:
            self.process.kill()
            self.process.wait()
            self.log.join()
            raise AssertionError(f"{error}\nIts log:\n{self.log.text()}") from None
        self.places = [(match.group(1), int(match.group(2))) for match in found]
        self.port = self.places[0][1]

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            for client in self.clients:  # first, or the server gives them a moment to read its last words
                client.close()
            if kind is None and not self.checked:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.log.join()
            if self.folder is not None:
                self.folder.cleanup()
            if kind is not None:
                print(f"--- the last lines of the server's log (it ended with {self.process.returncode}):")
                print("\n".join(self.log.lines[-40:] if not self.sanitizer_reports() else self.log.lines[-300:]))
                print("---")
        return False

    def sanitizer_reports(self):
        return SANITIZER_REPORT.search(self.log.text()) is not None

    def send_signal(self, number):
        self.process.send_signal(number)

    def ended(self, seconds=DEADLINE):
        """Waits for the server's end; returns its exit code. A sanitizer's report fails."""
        self.checked = True
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the server has not ended after {seconds} s; it has {self.threads()} threads") from None
        self.log.join()
        if self.sanitizer_reports():
            raise AssertionError("a sanitizer reported:\n" + self.log.text()[-20000:])
        return code

    def stop(self, number=signal.SIGTERM, seconds=DEADLINE):
        self.send_signal(number)
        code = self.ended(seconds)
        assert code == 0, f"the server ended with {code} instead of 0 after {signal.Signals(number).name}"

    def assert_lives(self):
        assert self.process.poll() is None, f"the server has ended with {self.process.returncode}"

    def connect(self, place=None, receive_buffer=None):
        """A connection that has said nothing yet."""
        client = Client(place or ("127.0.0.1", self.port), receive_buffer)
        self.clients.append(client)
        return client

    def join(self, name, **options):
        """A client that has given its name and was welcomed under just that name."""
        client = self.connect(**options)
        client.say(name)
        client.expect_welcome(name)
        return client

    def join_crowd(self, count, prefix="member", **options):
        """Many clients that have joined one after the other, none of which has a line left to read."""
        crowd = []
        for i in range(count):
            client = self.connect(**options)
            client.say(f"{prefix}{i}")
            crowd.append(client)
        pump(crowd, lambda client: re.search(rb"^\* Welcome \S+ - ", client.buffer, re.M) is not None)
        crowd[0].say("everybody is here")
        last = f"{prefix}0: everybody is here\n".encode()
        pump(crowd, lambda client: client.buffer.endswith(last))
        for client in crowd:
            client.buffer.clear()
        return crowd

    # What the kernel knows about the server.

    def threads(self):
        with contextlib.suppress(OSError):
            return len(os.listdir(f"/proc/{self.pid}/task"))
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """PSS in bytes."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.M).group(1)) * 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """A connection to a line server. Whatever it receives has to be valid UTF-8."""

    def __init__(self, place, receive_buffer=None):
        family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.started = time.monotonic()
        self.socket.connect(place)
        self.buffer = bytearray()
        self.outgoing = b""
        self.ended = False
        self.was_reset = False
        host, port = self.socket.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def raw(self, data):
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def say(self, text):
        """Sends a line."""
        self.raw((text.encode() if isinstance(text, str) else text) + b"\n")

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection at once, without a farewell (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self):
        """Takes what came into the buffer; False at the end."""
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise AssertionError(f"nothing came for {DEADLINE} s; unread: {bytes(self.buffer[-300:])!r}") from None
        self.ended = not data
        self.buffer += data
        return not self.ended

    def line(self):
        """The next line, without its end."""
        looked_at = 0
        while True:
            end = self.buffer.find(b"\n", looked_at)
            if end >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[:end + 1]
                return line.decode()  # fails on what is not UTF-8
            looked_at = len(self.buffer)
            if self.ended or not self._receive():
                raise AssertionError(f"a line was expected, but the server has closed; unread: {bytes(self.buffer)!r}")

    def bytes(self, count):
        """The next 'count' bytes."""
        while len(self.buffer) < count:
            if self.ended or not self._receive():
                raise AssertionError(f"{count} bytes were expected, but only these came: {bytes(self.buffer)!r}")
        result = bytes(self.buffer[:count])
        del self.buffer[:count]
        return result

    def expect(self, *lines):
        """The next lines have to be these; each is a text or a compiled pattern. Returns the last one (or its match)."""
        result = None
        for wanted in lines:
            line = self.line()
            if isinstance(wanted, re.Pattern):
                result = wanted.fullmatch(line)
                assert result, f"expected a line like {wanted.pattern!r}, got {shorten(line)!r}"
            else:
                result = line
                assert line == wanted, f"expected {shorten(wanted)!r}, got {shorten(line)!r}"
        return result

    def expect_bytes(self, wanted):
        got = self.bytes(len(wanted))
        assert got == wanted, f"expected {wanted!r}, got {got!r}"

    def expect_welcome(self, name):
        """
        The welcome line; 'name' is a text or a pattern. On a machine so busy that more than 300 ms passed before the name
        was sent, the question for the name comes before it, rightly.
        """
        pattern = name.pattern if isinstance(name, re.Pattern) else re.escape(name)
        line = self.line()
        if line == GREETING:
            line = self.line()
        wanted = rf"\* Welcome ({pattern}) - tcpchat/1\. You are in lobby\. /help lists the commands, /quit leaves\."
        match = re.fullmatch(wanted, line)
        assert match, f"expected the welcome of {pattern}, got {shorten(line)!r}"
        return match.group(1)

    def expect_lost(self):
        """The connection is to break, with whatever was still to come."""
        with contextlib.suppress(ConnectionError):
            while self._receive():
                pass
        self.buffer.clear()

    def expect_end(self):
        """The server has to close now, cleanly and without another byte."""
        while not self.ended:
            self._receive()
        assert not self.buffer, f"the end was expected, but this came before: {bytes(self.buffer[:500])!r}"

    def rest(self, reset_allowed=False):
        """All lines until the server closes."""
        while not self.ended:
            try:
                self._receive()
            except ConnectionResetError:
                assert reset_allowed, f"the connection was reset; before that came {bytes(self.buffer[-300:])!r}"
                self.ended = True
        assert self.buffer.endswith(b"\n") or not self.buffer, f"the last line has no end: {self.buffer[-200:]!r}"
        lines = self.buffer.decode().split("\n")[:-1]
        self.buffer.clear()
        return lines


GREETING = "* Welcome to tcpchat. Please type your name and press Enter."
BAD_NAME = (
    "! bad-name: a name has 1 to 50 letters, digits, _ - . # and single spaces inside; choose another and send it as the"
    " first line"
)


def too_long(limit=MAX_LINE):
    return f"! line-too-long: a line may have {limit} bytes; this one was dropped, send it in parts"


def shorten(text):
    return text if len(text) <= 400 else f"{text[:200]}... ({len(text)} characters) ...{text[-100:]}"


def pump(clients, done, seconds=DEADLINE):
    """
    Sends each client's 'outgoing' bytes and reads all of them, until done(client) is true for each (it is asked again
    when something came for it, and has to stay true). A client whose server closes is done as well; look at its 'ended'.
    """
    end = time.monotonic() + seconds
    waiting = set()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.outgoing else 0)
            client.socket.setblocking(False)
            selector.register(client.socket, events, client)
            if client.outgoing or not done(client):
                waiting.add(client)
        try:
            while waiting:
                left = end - time.monotonic()
                ready = selector.select(max(0, left)) if left > 0 else []
                if left <= 0:
                    unlucky = next(iter(waiting))
                    raise AssertionError(
                        f"after {seconds} s {len(waiting)} of {len(clients)} clients still wait; one has"
                        f" {len(unlucky.outgoing)} bytes to send and last got {bytes(unlucky.buffer[-200:])!r}")
                for key, events in ready:
                    _pump_one(selector, key, events)
                    client = key.data
                    if client.ended or (not client.outgoing and done(client)):
                        waiting.discard(client)
        finally:
            for client in clients:
                client.socket.settimeout(DEADLINE)


def _pump_one(selector, key, events):
    client = key.data
    if events & selectors.EVENT_WRITE and client.outgoing:
        try:
            sent = client.socket.send(client.outgoing[:1 << 18])
            client.outgoing = client.outgoing[sent:]
        except BlockingIOError:
            pass
        except OSError:
            client.outgoing = b""
        if not client.outgoing:
            selector.modify(key.fileobj, selectors.EVENT_READ, client)
    if events & selectors.EVENT_READ:
        try:
            data = client.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            client.was_reset = True
        client.buffer += data
        if not data:
            client.ended = True
            client.outgoing = b""
            selector.unregister(key.fileobj)


def temporary_file(text):
    """A file with this text, as a context manager that gives its path."""
    @contextlib.contextmanager
    def manager():
        with tempfile.NamedTemporaryFile("w", suffix=".env", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            yield file.name
    return manager()


def main(seconds=3 * DEADLINE):
    """
    Runs the tests named on the command line, or all of them; none takes longer than so many seconds. One alone: exit code
    0, 1, or 77 when skipped.
    """
    module = sys.modules["__main__"]
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    names = sys.argv[1:] or list(tests)
    if "TEST_ENGINE_URL" in os.environ:  # then only those that are for each journal
        names = [name for name in names if hasattr(tests[name], "__wrapped__")]
    failed = skipped = 0
    for name in names:
        faulthandler.dump_traceback_later(seconds, exit=True)
        start = time.monotonic()
        result = "passed"
        try:
            tests[name]()
        except Skip as reason:
            skipped += 1
            result = f"skipped: {reason}"
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            failed += 1
            result = "FAILED"
        print(f"{name}: {result} ({time.monotonic() - start:.1f} s)", flush=True)
    if failed:
        sys.exit(1)
    sys.exit(SKIPPED if skipped == len(names) else 0)
