"""The images and dockerbuild.sh for real, on a Docker engine of our own."""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from engine import Engine, base_image, only_one
from support import ROOT, Checkout, free_port, main, skip, wait_for

SERVER = "192.168.111.111"
TIME_LIMIT = 540  # less than CTest's, so that there is time to tidy up


class Terminal:
    """A program in a terminal of its own: what it shows, and typing."""

    def __init__(self, command, environment):
        self.shown = ""
        pid, self.descriptor = pty.fork()
        if pid == 0:
            os.execvpe(str(command[0]), [str(part) for part in command], dict(environment, TERM="xterm"))
        self.pid = pid
        self.status = None

    def read(self, seconds=0.1):
        if self.descriptor is None or not select.select([self.descriptor], [], [], seconds)[0]:
            return
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:  # the other side is closed
            data = b""
        if data:
            self.shown += data.decode(errors="replace")
        else:
            os.close(self.descriptor)
            self.descriptor = None

    def wait_for(self, text, seconds=240):
        """Waits until the text was shown after what an earlier wait saw; without looking at colours and cursor moves."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.descriptor is not None:
            plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|[\r\x01\x02]", "", self.shown)
            if text in plain:
                return
            self.read()
        raise AssertionError(f"waited for {text!r}; the terminal shows:\n{self.shown}")

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def end(self, seconds=60):
        """Waits until the program ends; gives back its exit code."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.status is None:
            self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        assert self.status is not None, f"it did not end within {seconds} s; the terminal shows:\n{self.shown}"
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self.descriptor is not None:
            os.close(self.descriptor)


class Line:
    """A client of the line door."""

    def __init__(self, host, name, port=7777):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.file = self.socket.makefile("rw", encoding="utf-8", newline="\n")
        self.say(name)
        self.wait_for("* Welcome " + name)

    def say(self, text):
        self.file.write(text + "\n")
        self.file.flush()

    def wait_for(self, text):
        for line in self.file:
            if text in line:
                return line
        raise AssertionError(f"the server closed before {text!r}")


class Chat:
    """dockerbuild.sh on an engine; everything that it started ends with it."""

    def __init__(self, engine):
        self.engine = engine
        self.environment = dict(engine.environment, DOCKER_BUILD_ARGS="--network=host")
        self.terminals = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for terminal in self.terminals:
            terminal.close()

    def start(self, *arguments):
        terminal = Terminal([ROOT / "dockerbuild.sh", *arguments], self.environment)
        self.terminals.append(terminal)
        return terminal

    def start_server(self):
        server = self.start("server")
        wait_for(lambda: server.read() or server.descriptor is None or answers(SERVER), "the server", 400)
        assert answers(SERVER), server.shown
        return server

    def inspect(self, kind, name, what):
        return json.loads(self.engine.docker(kind, "inspect", "--format", "{{json %s}}" % what, name))


def network_is_up():
    """Whether this machine has the way to goTCPnet itself: else packets for it would leave the machine."""
    routes = subprocess.run(["ip", "-4", "route", "show", "root", "192.168.111.0/24"], stdout=subprocess.PIPE, text=True)
    return "dev br-" in routes.stdout


def answers(host):
    """Whether the server greets a client there. A connection alone says little: a gateway may take any."""
    if host == SERVER and not network_is_up():
        return False
    try:
        with socket.create_connection((host, 7777), timeout=1) as client:
            return client.recv(1) in (b"*", b"!")
    except OSError:
        return False


def require_free_port():
    try:
        with socket.create_server(("0.0.0.0", 7777)):
            pass
    except OSError as error:
        skip(f"port 7777 of this machine is not free: {error}")


def require_free_subnet():
    routes = subprocess.run(["ip", "-4", "route", "show", "root", "192.168.111.0/24"], stdout=subprocess.PIPE, text=True)
    if routes.stdout.strip():
        skip(f"this machine has a network 192.168.111.0/24 already: {routes.stdout.strip()}")


def look(what):
    print(f"  {what}", flush=True)


def clients_talk(chat):
    ann = chat.start("client", "ann")
    ann.wait_for("You're now @ann")
    ann.wait_for("Welcome ann")
    bob = chat.start("client")
    bob.wait_for("Enter USERNAME: ")
    bob.type("Bob Builder\n")
    bob.wait_for("You're now @Bob Builder")
    bob.wait_for("Welcome Bob Builder")
    bob.type("hello from a container\r")
    ann.wait_for("hello from a container")
    cat = Line("127.0.0.1", "cat")
    cat.say("hello from outside")
    ann.wait_for("hello from outside")
    names = chat.engine.docker("ps", "--format", "{{.Names}}").split()
    assert any(re.fullmatch("gotcpclientann[0-9a-f]{6}", name) for name in names), names
    assert any(re.fullmatch("gotcpclientBob_Builder[0-9a-f]{6}", name) for name in names), names
    return ann, bob, cat


def images_are_small(chat):
    for image in "gotcpserver", "gotcpclient":
        size = chat.inspect("image", image, ".Size")
        look(f"{image}: {size / 1e6:.1f} MB")
        assert size < 100e6, (image, size)


def server_has_no_rights(chat):
    assert chat.inspect("container", "gotcpserver", ".HostConfig.ReadonlyRootfs") is True
    assert chat.engine.docker("exec", "gotcpserver", "id", "-u") == "7777"
    assert chat.engine.try_docker("exec", "gotcpserver", "touch", "/tmp/file").returncode != 0
    capabilities = chat.engine.docker("exec", "gotcpserver", "grep", "CapEff", "/proc/1/status")
    assert int(capabilities.split()[1], 16) == 0, capabilities


def messageapi_has_an_image(chat):
    """What the others were built in has built it, too. It listens where other containers get to, and waits for what is not there."""
    chat.engine.docker("build", "--network=host", "--file", ROOT / "deploy/Dockerfile", "--target", "messageapi",
                       "--tag", "tcpchat-messageapi", ROOT)
    chat.engine.docker("run", "--detach", "--rm", "--read-only", "--cap-drop=ALL", "--name", "messageapi", "tcpchat-messageapi",
                       "--amqp", "amqp://nobody@127.0.0.1:1", "--postgres", "postgres://nobody@127.0.0.1:1/none")
    listens = 'listening address="0.0.0.0:50051"'
    wait_for(lambda: listens in chat.engine.try_docker("logs", "messageapi").stdout, "messageapi listens")
    chat.engine.docker("exec", "messageapi", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/50051")
    assert chat.engine.docker("exec", "messageapi", "id", "-u") == "7777"
    chat.engine.docker("stop", "messageapi")


def health(chat):
    return chat.inspect("container", "gotcpserver", ".State.Health.Status")


def server_is_healthy(chat, line):
    command = chat.inspect("image", "gotcpserver", ".Config.Healthcheck.Test")[1:]
    chat.engine.docker("exec", "gotcpserver", *command)
    wrong = [part.replace("7777", "7778") for part in command]
    assert chat.engine.try_docker("exec", "gotcpserver", *wrong).returncode != 0
    wait_for(lambda: health(chat) == "healthy", "the container is healthy", 60)
    line.say("/who")
    who = line.wait_for("here:")
    assert "3 here" in who and "guest" not in who, who


def a_second_server_is_refused(chat):
    second = chat.start("server")
    assert second.end() == 1, second.shown
    assert "a container named gotcpserver already (running)" in second.shown, second.shown


def stop_says_goodbye(chat, server, ann, cat):
    begin = time.monotonic()
    chat.engine.docker("stop", "gotcpserver")
    seconds = time.monotonic() - begin
    look(f"stopped in {seconds:.1f} s")
    assert seconds < 8, "docker had to kill it"
    cat.wait_for("was terminated its operation... Goodbye. ==")
    ann.wait_for("was terminated its operation... Goodbye. ==")
    assert server.end() == 0, server.shown


def clients_leave(chat, ann, bob):
    for client in ann, bob:
        client.type("!exit\r")
        client.end()
    wait_for(lambda: chat.engine.docker("ps", "--all", "--quiet") == "", "no container is left")


def a_busy_port_is_refused(chat):
    with socket.create_server(("0.0.0.0", 7777)):
        server = chat.start("server")
        assert server.end() == 1, server.shown
        assert "another program uses 7777" in server.shown, server.shown
    wait_for(lambda: chat.engine.docker("ps", "--all", "--quiet") == "", "no container is left")


def an_interrupt_ends_the_server(chat):
    server = chat.start_server()
    wait_for(lambda: server.read() or answers("127.0.0.1"), "the port of this machine")
    server.type("\x03")
    assert server.end() == 0, server.shown
    wait_for(lambda: chat.engine.docker("ps", "--all", "--quiet") == "", "no container is left")


class Compose:
    """compose.yaml on an engine, with passwords of its own and the image that is there."""

    def __init__(self, engine, port):
        self.engine = engine
        self.copy = Checkout("deploy/compose.yaml", "deploy/make-secrets", "deploy/.env.example")
        tool = ["docker", "compose"] if engine.try_docker("compose", "version").returncode == 0 else ["docker-compose"]
        self.command = [*tool, "-p", "tcpchat-test", "-f", self.copy.root / "deploy/compose.yaml"]
        self.environment = dict(engine.environment, CHAT_SERVER_IMAGE="gotcpserver", CHAT_PORT=f"127.0.0.1:{port}",
                                CHAT_DESCRIPTORS="4096")  # an engine in a container may not raise the limit

    def __enter__(self):
        assert self.copy.run(self.copy.root / "deploy/make-secrets").returncode == 0
        return self

    def __exit__(self, *_):
        self.run("down", "--volumes")
        self.copy.__exit__()

    def run(self, *arguments):
        return self.copy.run(*self.command, *arguments, cwd=self.copy.root / "deploy", environment=self.environment, timeout=120)

    def up(self):
        done = self.run("up", "-d", "--no-build")
        assert done.returncode == 0, done.stdout

    def container(self):
        found = self.engine.docker("ps", "--quiet").split()
        assert len(found) == 1, found  # the one server, and nothing else of compose.yaml
        return found[0]


def compose_starts_one_server(chat):
    """Its health, its secret and its journal, which outlives it."""
    if not shutil.which("docker-compose") and chat.engine.try_docker("compose", "version").returncode != 0:
        look("not tried: there is no docker compose; the Debian package docker-compose has one")
        return
    port = free_port()
    with Compose(chat.engine, port) as compose:
        compose.up()
        wait_for(lambda: chat.inspect("container", compose.container(), ".State.Health.Status") == "healthy", "it is healthy", 60)
        assert chat.inspect("container", compose.container(), ".HostConfig.ReadonlyRootfs") is True
        assert chat.engine.docker("exec", compose.container(), "id", "-u") == "7777"
        password = (compose.copy.root / "deploy/secrets/admin_password.txt").read_text().strip()
        ann = Line("127.0.0.1", "ann", port)
        ann.say(f"/admin {password}")
        ann.wait_for("you are an administrator now")
        ann.say("this stays")
        ann.wait_for("ann: this stays")
        assert compose.run("down").returncode == 0
        ann.wait_for("Goodbye")
        compose.up()
        wait_for(lambda: chat.inspect("container", compose.container(), ".State.Health.Status") == "healthy", "it is healthy", 60)
        bob = Line("127.0.0.1", "bob", port)
        bob.wait_for("ann: this stays")


def test_the_containers_talk():
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"not done after {TIME_LIMIT} s"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    Engine.require()
    turn = only_one()  # held until the end
    signal.alarm(TIME_LIMIT)
    require_free_port()
    require_free_subnet()
    look("the base image")
    base = base_image(os.environ.get("TCPCHAT_BUILD_FOLDER", ROOT / "build"))
    with Engine() as engine, Chat(engine) as chat:
        engine.docker("import", base, "debian:bookworm-slim")
        look("the server is built and answers")
        server = chat.start_server()
        engine.remember_bridge("goTCPnet")
        look("clients talk, from inside and outside")
        ann, bob, cat = clients_talk(chat)
        look("images are small")
        images_are_small(chat)
        look("the server has no rights, its file system is read-only")
        server_has_no_rights(chat)
        look("the server is healthy, and nobody sees it being looked at")
        server_is_healthy(chat, cat)
        look("a second server is refused")
        a_second_server_is_refused(chat)
        look("docker stop says goodbye")
        stop_says_goodbye(chat, server, ann, cat)
        clients_leave(chat, ann, bob)
        look("messageapi has an image that runs")
        messageapi_has_an_image(chat)
        look("compose starts one server, whose journal outlives it")
        compose_starts_one_server(chat)
        look("a busy port is explained")
        a_busy_port_is_refused(chat)
        look("a server starts again, and an interrupt ends it")
        an_interrupt_ends_the_server(chat)
    turn.close()


main(globals())
