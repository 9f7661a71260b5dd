"""
goTCP's client talks to our server, and our client to goTCP's server.

Both are played by a few lines of Python that do on the wire what goTCP does.
"""

import contextlib
import hashlib
import re
import socket
import subprocess
import threading

from talk import DEADLINE, TAG, Client, Lines, Server, clean_environment, main, program


class GoTcpClient(Client):
    """Sends NAME#HHHHHH, then lines; shows every line that comes; leaves by closing the socket."""

    def __init__(self, server, username, number):
        super().__init__(("127.0.0.1", server.port))
        server.clients.append(self)
        self.name = username + "#" + hashlib.sha256(str(number).encode()).hexdigest()[:6]
        self.raw(self.name.encode() + b"\n")


def test_two_gotcp_clients_talk():
    with Server() as server:
        bob = GoTcpClient(server, "bob", 6)
        assert bob.name == "bob#e7f6c0"
        bob.expect_welcome(bob.name)
        ann = GoTcpClient(server, "ann", 39)
        ann.expect_welcome(ann.name)
        bob.expect(f'User "{ann.name}" just joined the chat!')
        bob.raw(b"hello from go\n")
        for client in (bob, ann):
            client.expect("bob#e7f6c0: hello from go")
        ann.close()
        bob.expect(f'User "{ann.name}" just left the chat (normally)')


def test_two_gotcp_clients_with_the_same_tag_have_two_names():
    with Server() as server:
        first = GoTcpClient(server, "bob", 6)
        first.expect_welcome("bob#e7f6c0")
        second = GoTcpClient(server, "bob", 6)
        name = second.expect_welcome(re.compile("bob#e7f6c0" + TAG))
        first.expect(f'User "{name}" just joined the chat!')


def test_a_gotcp_client_that_sends_name_and_lines_at_once_loses_nothing():
    with Server() as server:
        listener = server.join("listener")
        carol = server.connect()
        carol.raw(b"carol#0b9189\nfirst\nsecond\n")
        carol.close()
        listener.expect('User "carol#0b9189" just joined the chat!', "carol#0b9189: first", "carol#0b9189: second",
                        re.compile(r'User "carol#0b9189" just left the chat \((normally|connection lost)\)'))


def test_a_gotcp_client_gets_the_goodbye_line():
    with Server() as server:
        bob = GoTcpClient(server, "bob", 6)
        bob.expect_welcome("bob#e7f6c0")
        server.stop()
        bob.expect(f"== The server(127.0.0.1:{server.port}) was terminated its operation... Goodbye. ==")
        bob.expect_end()


class GoTcpServer:
    """The first line is a name, checked by nobody; every later line goes to everyone; no greeting, no commands."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pool = {}
        self.changed = threading.Condition(self.lock)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _broadcast(self, line, but=None):
        for connection in list(self.pool):
            if connection is not but:
                with contextlib.suppress(OSError):
                    connection.sendall(line.encode() + b"\n")

    def _serve(self, connection):
        with connection, connection.makefile("rb") as reader:
            try:
                name = reader.readline().decode().rstrip("\r\n")
                with self.lock:
                    self.pool[connection] = name
                    self._broadcast(f'User "{name}" just joined the chat!', connection)
                    self.changed.notify_all()
                for line in reader:
                    with self.lock:
                        text = line.decode().rstrip("\r\n")
                        self._broadcast(f"{name}: {text}")
            except OSError:
                pass
            with self.lock:
                if self.pool.pop(connection, None) is not None:
                    self._broadcast(f'User "{name}" just left the chat (normally)')
                self.changed.notify_all()

    def wait_for_members(self, count):
        with self.lock:
            assert self.changed.wait_for(lambda: len(self.pool) == count, DEADLINE), self.pool
            return list(self.pool.values())

    def say(self, line):
        with self.lock:
            self._broadcast(line)

    def stop(self):
        with self.lock:
            self._broadcast(f"== The server(127.0.0.1:{self.port}) was terminated its operation... Goodbye. ==")
            for connection in self.pool:
                with contextlib.suppress(OSError):  # it may have gone already
                    connection.shutdown(socket.SHUT_RDWR)
            self.pool.clear()
        self.listener.close()


def run_filter(server, text, *options):
    return subprocess.run(
        [program("TCPCLIENT"), *options, f"127.0.0.1:{server.port}"],
        input=text,
        env=clean_environment(),
        capture_output=True,
        timeout=2 * DEADLINE,
    )


def test_our_client_sends_through_a_gotcp_server():
    with GoTcpServer() as server:
        reader = socket.create_connection(("127.0.0.1", server.port))
        reader.sendall(b"reader\n")
        server.wait_for_members(1)
        done = run_filter(server, b"hi\n100%d\n/not a command there\n", "-username", "bot")
        assert done.returncode == 0, done.stderr.decode()
        assert b"\x1b" not in done.stdout
        with reader, reader.makefile("rb") as lines:
            heard = [lines.readline().decode().rstrip("\n") for _ in range(5)]
        name = re.fullmatch(r'User "(bot.*)" just joined the chat!', heard[0]).group(1)
        assert heard[1:] == [f"{name}: hi", f"{name}: 100%d", f"{name}: /not a command there",
                             f'User "{name}" just left the chat (normally)'], heard
        assert f"{name}: hi" in done.stdout.decode().splitlines(), done.stdout


def test_our_client_reads_a_gotcp_server_until_it_closes():
    with GoTcpServer() as server:
        process = subprocess.Popen(
            [program("TCPCLIENT"), "-username", "log", f"127.0.0.1:{server.port}"],
            env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            output = Lines(process.stdout)
            server.wait_for_members(1)
            server.say("ann: hello 🙂")
            output.wait("ann: hello 🙂$")
            server.stop()
            output.wait(r"Goodbye\. ==")
            assert process.wait(DEADLINE) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


if __name__ == "__main__":
    main()
