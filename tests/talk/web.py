"""
A client of the HTTP door for tests: http.client where it helps, bytes where it would be too polite.

        reply = ask(server, "POST", "/rooms/ops/messages", "build failed")
        assert reply.status == 201 and reply.json["text"] == "build failed"
"""

import contextlib
import http.client
import json
import re
import socket

from talk import DEADLINE


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower-case names
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def expect(self, status, code=None):
        """The status, and the code of the error if it is one; returns the reply."""
        assert self.status == status, f"{self.status} in place of {status}: {self.body[:500]!r}"
        if code is not None:
            error = self.json["error"]
            assert error["code"] == code and error["text"], error
            assert self.headers["content-type"] == "application/json"
        return self

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:300]!r}"


def ask(server, method, path, body=None, connection=None, **headers):
    """One request; names of headers with _ in place of -. Over 'connection', or one of its own."""
    own = connection is None
    connection = connection or http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    body = body.encode() if isinstance(body, str) else body
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    reply = Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    if own:
        connection.close()
    return reply


def keep(server):
    """A connection for several requests."""
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive_all(connection):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            data += piece
    return data


def raw(server, data):
    """Sends the bytes, and returns all that comes until the server closes."""
    with connect(server) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
        return receive_all(connection)


def parse(data):
    """The first reply in the bytes, and what follows it. Without a Content-Length its body is the rest."""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
    size = int(headers.get("content-length", len(rest)))
    return Reply(int(lines[0].split()[1]), headers, rest[:size]), rest[size:]


class Stream:
    """A stream that was begun; 'client' is the one of talk.py below it."""

    def __init__(self, server, target, headers=(), version="1.1", **options):
        self.client = server.connect(**options)
        lines = [f"GET {target} HTTP/{version}", f"Host: 127.0.0.1:{server.port}", *headers]
        self.client.raw("\r\n".join(lines).encode() + b"\r\n\r\n")
        self.status = int(self.client.line().split()[1])
        self.headers = {}
        while line := self.client.line().removesuffix("\r"):
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    def line(self):
        return self.client.line()

    def json(self):
        return json.loads(self.line())

    def event(self):
        """The next server-sent event: its id (or None), and its object."""
        number, data = None, None
        while True:
            line = self.line()
            if line.startswith("id: "):
                number = int(line[4:].partition(":")[0])
                self.place = line[4:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "" and data is not None:
                return number, data
            else:
                assert line == "" or line.startswith(":") or re.fullmatch("retry: [0-9]+", line), line
