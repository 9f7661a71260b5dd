"""The server as a service: sockets that were made before it, and what it tells the manager that started it."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time

from manager import Manager, activated, activation, connect, launcher, listener
from talk import DEADLINE, Client, Server, clean_environment, main, program, run_server, wait_for


def start_in_vain(*arguments, sockets, names=None, environment=None):
    """Starts a server that cannot; returns exit code and errors."""
    done = subprocess.run(
        [*launcher(sockets), program("TCPSERVER"), "--journal", "memory", *arguments],
        env=clean_environment(dict(activation(sockets, names), **(environment or {}))), pass_fds=[s.fileno() for s in sockets],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE, check=False)
    return done.returncode, done.stderr.decode()


# ---- What the manager is told. ----

def test_ready_is_told_when_clients_are_answered():
    with Manager() as manager, Server(environment=manager.environment()) as server:
        told = manager.told()
        assert told["READY"] == "1" and "ready" in told["STATUS"], told
        server.join("ann")


def test_a_manager_may_have_an_abstract_name():
    with Manager(abstract=True) as manager, Server(environment=manager.environment()):
        assert manager.told()["READY"] == "1"


def test_a_server_that_cannot_start_is_never_ready():
    with Manager() as manager, tempfile.TemporaryDirectory() as folder:
        code, _, errors = run_server("--listen", "127.0.0.1:0", "--journal", f"sqlite:{folder}/none/chat.db",
                                     environment=manager.environment())
        assert code == 1, errors
        assert manager.told(wait=False) is None
        with listener() as taken:
            port = taken.getsockname()[1]
            code, _, errors = run_server("--listen", f"127.0.0.1:{port}", "--journal", "memory", environment=manager.environment())
        assert code == 1, errors
        assert manager.told(wait=False) is None


def test_stopping_is_told_before_anybody_hears_goodbye():
    with Manager() as manager, Server(environment=manager.environment()) as server:
        ann = server.join("ann")
        server.send_signal(signal.SIGTERM)
        assert "terminated" in ann.rest()[-1]
        manager.until("STOPPING", wait=False)
        assert server.ended() == 0
        assert manager.told(wait=False) is None, "something was told after STOPPING"


def test_the_watchdog_is_told_that_the_server_lives():
    with Manager() as manager, Server(environment=manager.environment(WATCHDOG_USEC="400000")) as server:
        server.join("ann")
        told = wait_for(lambda: [lines for lines in [manager.until("WATCHDOG")] if lines["STATUS"].startswith("1 connected")],
                        "a status with one client")
        assert told[0] == {"WATCHDOG": "1", "STATUS": "1 connected; ready"}, told
        for _ in range(3):
            manager.until("WATCHDOG")


def test_a_reload_is_told_from_begin_to_end():
    with Manager() as manager, Server("--tls", "self", journal="sqlite:chat.db", environment=manager.environment()) as server:
        manager.until("READY")
        before = time.monotonic_ns() // 1000
        server.send_signal(signal.SIGHUP)
        begin = manager.until("RELOADING")
        assert before <= int(begin["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, begin
        assert manager.told()["READY"] == "1"
        server.output.wait("certificate fingerprint", 2)


def test_a_reload_without_a_certificate_ends_nobody():
    with Manager() as manager, Server(environment=manager.environment()) as server:
        ann = server.join("ann")
        manager.until("READY")
        server.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        manager.until("READY")
        ann.say("still here")
        ann.expect("ann: still here")


def test_a_manager_that_is_gone_harms_nobody():
    with Manager() as manager:
        environment = manager.environment()
    with Server(environment=environment) as server:
        server.join("ann")
        server.log.wait("the service manager cannot be told")


# ---- Sockets that were made before. ----

def test_who_connects_before_the_server_starts_is_answered():
    with listener() as made:
        early = Client(made.getsockname())
        early.say("ann")
        with activated(sockets=[made]) as server:
            server.clients.append(early)
            early.expect_welcome("ann")
            assert server.places == [made.getsockname()], server.places


def test_a_passed_socket_takes_the_place_of_the_default():
    with listener() as made, activated(sockets=[made]) as server:
        assert len(server.output.lines) == 1, server.output.text()
        flags = open(f"/proc/{server.pid}/fdinfo/3", encoding="ascii").read()
        assert int(re.search(r"^flags:\s+(\d+)", flags, re.M).group(1), 8) & os.O_CLOEXEC, flags


def test_a_passed_socket_and_listen_go_together():
    with listener() as made, activated(sockets=[made], listen=["127.0.0.1:0"]) as server:
        port = int(server.output.wait(r"from 127\.0\.0\.1:(\d+)", 2)[1].group(1))
        ann = connect(server, made)
        ann.say("ann")
        ann.expect_welcome("ann")
        bob = server.connect(("127.0.0.1", port))
        bob.say("bob")
        bob.expect_welcome("bob")
        ann.expect('User "bob" just joined the chat!')


def test_the_name_of_a_socket_says_what_it_is_for():
    names = ["lines", "http", "grpc"]
    sockets = [listener() for _ in names]
    with activated(sockets=sockets, names=names) as server:
        lines, http, anything = (connect(server, each) for each in sockets)
        lines.say("GET /livez HTTP/1.0")  # no name of a person
        assert "bad-name" in lines.line()
        for client in http, anything:
            client.raw(b"GET /livez HTTP/1.0\r\n\r\n")
            assert client.line().startswith("HTTP/1."), "no HTTP"
        person = connect(server, sockets[1])
        person.say("ann")
        assert "HTTP/1." in person.line()
    for each in sockets:
        each.close()


def test_a_socket_for_tls_needs_tls():
    with listener() as made:
        code, errors = start_in_vain(sockets=[made], names=["tls"])
        assert code == 2 and "needs TLS" in errors, (code, errors)
        code, errors = start_in_vain("--tls", "self", "--require-tls", sockets=[made], names=["lines"])
        assert code == 2 and "--require-tls" in errors, (code, errors)


def test_what_does_not_listen_is_refused():
    with listener(listens=False) as silent, listener(socket.SOCK_DGRAM, listens=False) as datagrams, \
            tempfile.TemporaryFile() as file, listener() as good:
        for wrong, why in ((silent, "does not listen"), (datagrams, "no TCP socket"), (file, "no socket")):
            code, errors = start_in_vain(sockets=[good, wrong])
            assert code == 1 and why in errors and "descriptor 4" in errors, (code, errors)
        code, errors = start_in_vain(sockets=[good], environment={"LISTEN_FDS": "2"})
        assert code == 1 and "no such descriptor" in errors, (code, errors)
        for count in "17", "-1", "some":
            code, errors = start_in_vain(sockets=[good], environment={"LISTEN_FDS": count})
            assert code == 1 and f"LISTEN_FDS={count}" in errors, (code, errors)


def test_sockets_for_another_process_are_left_alone():
    with Server(environment={"LISTEN_PID": "1", "LISTEN_FDS": "3"}) as server:
        server.join("ann")


def test_a_restart_under_the_same_socket_refuses_nobody():
    made = listener()
    served = []
    ends = threading.Event()

    def come_and_go():
        """Each is welcomed, or, met by a server that stops, is told goodbye: never refused, never left without a word."""
        while not ends.is_set():
            client = Client(made.getsockname())
            client.say("ann")
            first = client.line()
            served.append(first if "Welcome" in first or "terminated" in first else client.line())
            client.close()

    visitor = threading.Thread(target=come_and_go)
    visitor.start()
    try:
        for _ in range(4):
            with activated(sockets=[made]):
                before = len(served)
                wait_for(lambda: len(served) > before + 5 or not visitor.is_alive(), "visitors are served")
    finally:
        ends.set()
        with activated(sockets=[made]):  # for the last visitor
            visitor.join(DEADLINE)
        made.close()
    assert len(served) > 20 and all("Welcome" in line or "terminated" in line for line in served), served


if __name__ == "__main__":
    main()
