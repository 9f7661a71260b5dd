"""Every port speaks every protocol: what the first bytes of a client lead to, however they come."""

import random
import ssl
import time

from talk import Server, main, scaled, wait_for


def test_a_name_that_begins_as_a_method_may_come_byte_by_byte():
    with Server() as server:
        for name in ("GET", "POST haste", "PRI", "OPTIONS", "DELETE https"):
            client = server.connect()
            for byte in name.encode() + b"\n":
                client.raw(bytes([byte]))
            client.expect_welcome(name)
            client.say("/quit")
            client.expect(f"* Goodbye {name}.")
            client.expect_end()  # the next one shall not see this one go


def test_a_person_is_greeted_once():
    with Server() as server:
        person = server.connect()
        person.expect("* Welcome to tcpchat. Please type your name and press Enter.")
        person.say("ann")
        person.expect_welcome("ann")


def test_nobody_is_greeted_who_comes_from_where_http_was_spoken():
    """Story: Chrome took the greeting on a spare connection for the answer to what it asked there later."""
    with Server("--name-timeout", "30") as server:
        browser = server.connect()
        browser.raw(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while browser.line() != "\r":
            pass
        browser.expect_bytes(b"pong")
        spare, marker = server.connect(), server.connect()
        marker.say("marker")
        marker.expect_welcome("marker")
        quiet = time.monotonic() + 1  # three times as long as a person has; nothing tells that nothing comes
        wait_for(lambda: time.monotonic() > quiet, "a second")
        spare.raw(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert spare.line() == "HTTP/1.1 200 OK\r"


def test_a_beginning_costs_next_to_nothing():
    with Server("--name-timeout", "30") as server:
        clients = [server.connect() for _ in range(scaled(300))]
        for client in clients:
            client.raw(b"G")
        server.join("ann")
        before = server.cpu_seconds()
        later = time.monotonic() + 3
        wait_for(lambda: time.monotonic() > later, "three seconds")
        used = server.cpu_seconds() - before
        assert used < 0.5, f"{len(clients)} beginnings cost {used} s of CPU in three seconds"


def test_a_half_request_or_name_ends_at_the_time_for_a_name():
    with Server("--name-timeout", "1") as server:
        server.join("ann")  # a sanitizer has a thread of its own from the first other one on
        at_rest = server.threads()
        for beginning in (b"G", b"GET ", b"DELETE http", b"\x16", b"bob"):
            client = server.connect()
            client.raw(beginning)
            rest = client.rest(reset_allowed=True)
            assert rest and rest[-1].startswith("! name-timeout: "), (beginning, rest)
        wait_for(lambda: server.threads() <= at_rest, "all threads to be gone")


def test_a_silent_client_ends_at_the_time_for_a_name():
    with Server("--name-timeout", "1") as server:
        rest = server.connect().rest()
        assert rest[-1].startswith("! name-timeout: "), rest


def test_those_who_come_and_go_without_a_word_leave_nothing_behind():
    with Server() as server:
        ann = server.join("ann")
        threads = server.threads()
        descriptors = server.descriptors()
        for number in range(scaled(400)):
            client = server.connect()
            if number % 3 == 1:
                client.raw(b"GE")
            if number % 2 == 0:
                client.reset()
            else:
                client.close()
        wait_for(lambda: server.threads() <= threads and server.descriptors() <= descriptors, "all of them to be gone")
        ann.say("still here")
        wait_for(lambda: ann.line() == "ann: still here", "the own line, behind those who were called GE for a moment")


def test_garbage_harms_nobody():
    rng = random.Random(7)
    with Server("--name-timeout", "1") as server:
        ann = server.join("ann")
        for _ in range(scaled(200)):
            client = server.connect()
            client.raw(rng.choice((b"", b"\x16\x03", b"GET ", b"PRI * ", b"\xff\xfb")) + rng.randbytes(rng.randrange(1, 300)))
            client.close()
        ann.say("done")
        wait_for(lambda: ann.line() == "ann: done", "the own line, behind those of others")


def test_who_asks_for_tls_where_there_is_none_gets_an_alert_that_says_so():
    with Server() as server:
        client = server.connect()
        try:
            ssl.create_default_context().wrap_socket(client.socket, server_hostname="localhost")
        except ssl.SSLError as error:
            assert "alert protocol version" in str(error).lower(), error
        else:
            raise AssertionError("there was a handshake")


if __name__ == "__main__":
    main()
