"""./run: its arguments, and the server that the runs share, with stand-ins for cmake, tcpserver and tcpclient."""

import os
import signal
import subprocess
import sys

from support import Checkout, free_port, main, wait_for

SERVER = f"""#!{sys.executable}
import os, signal, socket, sys
port = int(sys.argv[sys.argv.index("--listen") + 1].rsplit(":", 1)[1])
notes = open(os.environ["NOTES"], "a", buffering=1)
def stop(*_):
    notes.write(f"stopped {{os.getpid()}}\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
notes.write(f"started {{os.getpid()}}\\n")  # before anybody can see that it listens
listener = socket.create_server(("127.0.0.1", port))
while True:
    signal.pause()
"""

CLIENT = f"""#!{sys.executable}
import sys
print("client", *sys.argv[1:], flush=True)
sys.stdin.read()
"""


class Talk(Checkout):
    def __init__(self):
        super().__init__("run", "deploy")
        self.port = free_port()
        self.notes = self.folder / "notes"
        self.notes.write_text("")
        self.environment.update(TCPCHAT_PORT=str(self.port), USER="bob", NOTES=str(self.notes))
        self.program("dpkg-query", "#!/bin/sh\necho installed\n")
        self.program("cmake", "#!/bin/sh\necho quiet work\n")
        self.program(self.root / "build/release/tcpserver/tcpserver", SERVER)
        self.program(self.root / "build/release/tcpclient/tcpclient", CLIENT)
        self.clients = []

    def __exit__(self, *error):
        for client in self.clients:
            client.stdin.close()
            client.wait(20)
        wait_for(lambda: self.count("started") <= self.count("stopped") + self.count("killed"), "no server left")
        super().__exit__(*error)

    def count(self, what):
        return self.notes.read_text().count(what)

    def server(self):
        return int(self.notes.read_text().split("started ")[-1].split()[0])

    def server_is_gone(self):
        lock = self.runtime / f"tcpchat-{os.geteuid()}-{self.port}/server"
        return subprocess.run(["flock", "-n", str(lock), "true"], check=False).returncode == 0

    def join(self):
        """Opens one more ./run and waits until its client is there."""
        client = subprocess.Popen(
            [str(self.root / "run")],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.clients.append(client)
        for line in client.stdout:
            if line.startswith("client "):
                client.line = line
                return client
        raise AssertionError("no client came up")

    def leave(self, client):
        client.stdin.close()
        assert client.wait(20) == 0
        self.clients.remove(client)


def test_help_is_given():
    with Talk() as talk:
        for flag in "--help", "-h":
            result = talk.run(talk.root / "run", flag)
            assert result.returncode == 0 and "Usage: ./run" in result.stdout, result


def test_wrong_arguments_end_with_2():
    with Talk() as talk:
        for arguments in ["--nope"], ["client"], ["client", "-x"], ["demo", "x"], ["--deps-only", "x"], ["srever"]:
            result = talk.run(talk.root / "run", *arguments)
            assert result.returncode == 2 and "--help" in result.stdout, (arguments, result)
        for port in "0", "65536", "x", "-1":
            result = talk.run(talk.root / "run", environment={"TCPCHAT_PORT": port})
            assert result.returncode == 2 and port in result.stdout, result


def test_one_run_starts_a_server_and_stops_it():
    with Talk() as talk:
        client = talk.join()
        assert client.line == f"client -username bob localhost:{talk.port}\n", client.line
        assert talk.count("started") == 1
        assert talk.count("stopped") == 0
        talk.leave(client)
        wait_for(lambda: talk.count("stopped") == 1, "the server stopped")


def test_the_last_of_several_stops_the_server():
    with Talk() as talk:
        first, second, third = talk.join(), talk.join(), talk.join()
        assert talk.count("started") == 1
        talk.leave(first)
        talk.leave(third)
        fourth = talk.join()
        talk.leave(second)
        assert talk.count("stopped") == 0
        talk.leave(fourth)
        wait_for(lambda: talk.count("stopped") == 1, "the server stopped")
        assert talk.count("started") == 1


def test_a_killed_client_counts_as_gone():
    with Talk() as talk:
        first, second = talk.join(), talk.join()
        talk.leave(first)
        second.kill()
        second.wait(20)
        talk.clients.remove(second)
        wait_for(lambda: talk.count("stopped") == 1, "the server stopped")


def test_the_next_run_after_the_last_starts_anew():
    with Talk() as talk:
        for round in range(1, 6):
            talk.leave(talk.join())  # the next one may come while the server of this one is just stopping
            assert talk.count("started") == round
        wait_for(lambda: talk.count("stopped") == 5, "every server stopped")


def test_a_killed_server_is_replaced_by_the_next_run():
    with Talk() as talk:
        first = talk.join()
        os.kill(talk.server(), signal.SIGKILL)
        wait_for(talk.server_is_gone, "the kernel has taken its lock away")
        with talk.notes.open("a") as notes:
            notes.write("killed\n")
        second = talk.join()
        assert talk.count("started") == 2
        talk.leave(first)
        assert talk.count("stopped") == 0
        talk.leave(second)
        wait_for(lambda: talk.count("stopped") == 1, "the second server stopped")


def test_a_killed_keeper_is_replaced_by_the_next_run():
    with Talk() as talk:
        first = talk.join()
        keeper = wait_for(lambda: keeper_of(talk), "the keeper waits")
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: keeper_of(talk) is None, "the keeper is gone")
        second = talk.join()
        assert talk.count("started") == 1
        wait_for(lambda: keeper_of(talk), "another keeper waits")
        talk.leave(first)
        talk.leave(second)
        wait_for(lambda: talk.count("stopped") == 1, "the server stopped")


def keeper_of(talk):
    """The process of ./run --keep in this checkout, if there is one."""
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"--keep" in words and os.fsencode(talk.root / "run") in words:
            return int(entry)
    return None


def test_a_port_in_use_is_explained():
    import socket

    with Talk() as talk, socket.create_server(("127.0.0.1", talk.port)):
        result = talk.run(talk.root / "run")
        assert result.returncode == 1, result
        assert f"port {talk.port} is used by another program" in result.stdout, result
        assert "./run client NAME" in result.stdout, result
        assert talk.count("started") == 0


def test_a_server_that_does_not_start_is_shown():
    with Talk() as talk:
        talk.program(talk.root / "build/release/tcpserver/tcpserver", "#!/bin/sh\necho no luck today >&2\nexit 1\n")
        result = talk.run(talk.root / "run")
        assert result.returncode == 1 and "no luck today" in result.stdout, result


def test_a_failed_build_is_shown():
    with Talk() as talk:
        talk.program("cmake", "#!/bin/sh\necho the error text\nexit 1\n")
        for arguments in [], ["server"], ["client", "bob"]:
            result = talk.run(talk.root / "run", *arguments)
            assert result.returncode == 1 and "the error text" in result.stdout, result


def test_server_and_client_pass_their_arguments_on():
    with Talk() as talk:
        talk.program(talk.root / "build/release/tcpserver/tcpserver", '#!/bin/sh\nprintf "<%s>" "$@"\nexit 3\n')
        talk.program(talk.root / "build/release/tcpclient/tcpclient", '#!/bin/sh\nprintf "<%s>" "$@"\nexit 4\n')
        standard = {"TCPCHAT_PORT": "7777"}
        result = talk.run(talk.root / "run", "server", "--max-line", "a b", environment=standard)
        assert (result.returncode, result.stdout) == (3, "<--max-line><a b>"), result
        result = talk.run(talk.root / "run", "client", "ann", "host:1", environment=standard)
        assert (result.returncode, result.stdout) == (4, "<-username><ann><host:1>"), result
        result = talk.run(talk.root / "run", "client", "Johnny Boi", environment=standard)
        assert (result.returncode, result.stdout) == (4, "<-username><Johnny Boi>"), result
        result = talk.run(talk.root / "run", "client", "ann")
        assert result.stdout == f"<-username><ann><localhost:{talk.port}>", result


def test_missing_packages_are_named_before_they_are_installed():
    with Talk() as talk:
        talk.program("dpkg-query", '#!/bin/sh\n[ "$4" = cmake ] || echo installed\n')
        talk.program("apt-cache", "#!/bin/sh\necho '  Candidate: 1'\n")
        talk.program("sudo", '#!/bin/sh\nexec "$@"\n')
        talk.program("apt-get", '#!/bin/sh\necho "apt-get $*"\n')
        result = talk.run(talk.root / "run", "--deps-only")
        lines = result.stdout.splitlines()
        assert result.returncode == 0, result
        assert lines[0] == "Going to install with apt-get: cmake", lines
        assert lines[-1].endswith("install --no-install-recommends cmake"), lines
        talk.program("dpkg-query", "#!/bin/sh\necho installed\n")
        result = talk.run(talk.root / "run", "--deps-only")
        assert (result.returncode, result.stdout) == (0, ""), result


main(globals())
