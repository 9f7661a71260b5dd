"""
A raw WebSocket client for tests: it can send any frame, right or wrong, and looks hard at each one that comes.

        bob = join(server, "bob")          # Chatty's /chat/join
        bob.say("hello")
        bob.expect(kind="message", text="hello")
        bob.leave()

        ann = GoChat(server)               # Go-Chat's /
        ann.send("ann", "hello")

Source: RFC 6455.
"""

import base64
import hashlib
import json
import os
import re
import struct
import urllib.parse

from events import parse_event
from talk import pump, shorten

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MEANS_NOTHING = (PONG, b"")  # what Go-Chat's door sends for what has no place there


def mask(payload, key):
    repeated = (key * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length_size=None, length=None):
    """
    The bytes of a frame. 'length_size' (0, 2, 8) and 'length' make it lie about its length.
    """
    payload = payload.encode() if isinstance(payload, str) else payload
    length = len(payload) if length is None else length
    if length_size is None:
        length_size = 0 if length < 126 else 2 if length < 1 << 16 else 8
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode,
                  (0x80 if masked else 0) | {0: length, 2: 126, 8: 127}[length_size]])
    head += length.to_bytes(length_size, "big") if length_size else b""
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + mask(payload, key)


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


class WebSocket:
    """A connection that has shaken hands. 'client' is the one of talk.py below it."""

    def __init__(self, server, target, headers=(), early=b"", **options):
        self.client = server.connect(**options)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
        self.client.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + early)
        self.status = self.client.line()
        self.answer = {}
        while line := self.client.line().removesuffix("\r"):
            name, _, value = line.partition(":")
            self.answer[name.lower()] = value.strip()
        assert self.status == "HTTP/1.1 101 Switching Protocols\r", f"{self.status!r} {self.answer}"
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        assert self.answer["sec-websocket-accept"] == accept, self.answer
        assert self.answer["upgrade"].lower() == "websocket" and self.answer["connection"].lower() == "upgrade"
        self.pings = 0

    # What is sent.

    def raw(self, data):
        self.client.raw(data)

    def frame(self, opcode, payload=b"", **how):
        self.raw(frame(opcode, payload, **how))

    def say(self, text):
        self.frame(TEXT, text)

    def close(self, code=1000, reason=b""):
        self.frame(CLOSE, close_payload(code, reason))

    # What comes.

    def next_frame(self):
        """Opcode, payload and whether it ends its message; any fault in its form fails."""
        first, second = self.client.bytes(2)
        opcode = first & 0x0F
        assert not first & 0x70, f"reserved bits are set: {first:02x}"
        assert not second & 0x80, "the server masked a frame"
        assert opcode in (CONTINUATION, TEXT, CLOSE, PING, PONG), f"opcode {opcode}"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self.client.bytes(2), "big")
            assert size >= 126, f"a length of {size} in two bytes"
        elif size == 127:
            size = int.from_bytes(self.client.bytes(8), "big")
            assert size >= 1 << 16, f"a length of {size} in eight bytes"
        if opcode >= 8:
            assert size <= 125 and first & 0x80, f"a control frame of {size} bytes, first byte {first:02x}"
        return opcode, self.client.bytes(size), bool(first & 0x80)

    def next_message(self):
        """The next whole message or control frame but pings, which are answered: opcode and payload."""
        parts = []
        while True:
            opcode, payload, fin = self.next_frame()
            if opcode == PING:
                self.pings += 1
                self.frame(PONG, payload)
            elif opcode >= 8:
                return opcode, payload
            else:
                assert (opcode == CONTINUATION) == bool(parts), f"opcode {opcode} after {len(parts)} fragments"
                parts.append(payload)
                if fin:
                    payload = b"".join(parts)
                    payload.decode()
                    return TEXT, payload

    def text(self):
        """The next text; what means nothing is passed over."""
        message = MEANS_NOTHING
        while message == MEANS_NOTHING:
            message = self.next_message()
        opcode, payload = message
        assert opcode == TEXT, f"a text was expected, got opcode {opcode} with {shorten(repr(payload))}"
        return payload.decode()

    def expect_pong(self, payload=b""):
        payload = payload.encode() if isinstance(payload, str) else payload
        message = self.next_message()
        assert message == (PONG, payload), f"a pong with {payload!r} was expected, got {message!r}"

    def expect_close(self, code):
        """The server's close frame, with this code (None: without one), and then the end of the connection."""
        message = self.next_message()
        wanted = (CLOSE, b"" if code is None else close_payload(code))
        assert message == wanted, f"a close frame with {code} was expected, got {message!r}"
        self.client.expect_end()

    def expect_close_soon(self, code):
        """The same, after whatever else comes before."""
        while True:
            opcode, payload = self.next_message()
            if opcode == CLOSE:
                assert payload == close_payload(code), f"a close frame with {code} was expected, got {payload!r}"
                self.client.expect_end()
                return

    def leave(self, code=1000):
        """The whole close handshake."""
        self.close(code)
        self.expect_close_soon(code)
        self.client.close()

    # Events.

    def ask(self, op, **fields):
        self.say(json.dumps({"op": op, **fields}))

    def event(self):
        return parse_event(self.text())

    def expect(self, **fields):
        """The next event has to have these fields (a text may be a compiled pattern), and none of those that are None."""
        event = self.event()
        for name, wanted in fields.items():
            got = event.get(name)
            if isinstance(wanted, re.Pattern):
                assert isinstance(got, str) and wanted.fullmatch(got), f"{name} is not like {wanted.pattern!r}: {event}"
            else:
                assert got == wanted, f"{name} is not {wanted!r}: {event}"
        return event

    def until(self, **fields):
        """All events up to the first that has these fields, that one included."""
        events = []
        while True:
            events.append(self.event())
            if all(events[-1].get(name) == wanted for name, wanted in fields.items()):
                return events

    def texts_until(self, last):
        """The texts of all messages up to the one that is 'last'; quickly, without a look at the rest."""
        texts = []
        while not texts or texts[-1] != last:
            event = json.loads(self.text())
            if event["kind"] == "message":
                texts.append(event["text"])
        return texts

    def is_alive(self):
        """It answers, after whatever else comes before."""
        token = os.urandom(4).hex().encode()
        self.frame(PING, token)
        while self.next_message() != (PONG, token):
            pass


def chatty(server, early=b"", headers=(), options=None, **query):
    """A connection to /chat/join with that query; 'options' are those of Server.connect()."""
    return WebSocket(server, "/chat/join?" + urllib.parse.urlencode(query), headers, early, **(options or {}))


def join(server, name, **query):
    """One who is in, and has seen that it is."""
    member = chatty(server, name=name, **query)
    welcome = member.expect(kind="welcome", participant=name)
    member.until(kind="joined", event_type="participant_joined", participant=name)
    member.welcome = welcome
    return member


def examples(page):
    """The blocks of a page of which '→' is a message of the client, '←' one of the server; each a list of the two."""
    blocks = [[]]
    for line in page.read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r" {4}([←→]) (.*)", line)
        if match:
            blocks[-1].append(match.groups())
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def converse(client, block):
    """The example is true; a time or an id may be another one."""
    for direction, line in block:
        if direction == "→":
            client.say(line)
            continue
        wanted = re.escape(line)
        for varying in (r'(?<="at":")[^"]+', r'(?<="room_id":")[^"]+'):
            wanted = re.sub(varying, '[^"]+', wanted)
        got = client.text()
        assert re.fullmatch(wanted, got), f"expected {line!r}, got {got!r}"


def say_all(client, texts):
    """A client of lines says these, and has read their echo."""
    client.outgoing = "".join(f"{text}\n" for text in texts).encode()
    last = f": {texts[-1]}\n".encode()
    pump([client], lambda reader: reader.buffer.endswith(last))
    client.buffer.clear()


class GoChat(WebSocket):
    """Go-Chat's client; 'history' is what it was sent first, which it may leave unread."""

    def __init__(self, server, target="/", reads=True, **options):
        super().__init__(server, target, **options)
        self.history = [(entry["username"], entry["message"]) for entry in json.loads(self.text())] if reads else []

    def send(self, username, message):
        self.say(json.dumps({"username": username, "message": message}))

    def message(self):
        entry = json.loads(self.text())
        assert list(entry) == ["username", "message"], entry
        return entry["username"], entry["message"]

    def expect_message(self, username, message):
        got = self.message()
        if isinstance(message, re.Pattern):
            assert got[0] == username and message.fullmatch(got[1]), f"{(username, message)} was expected, got {got}"
        else:
            assert got == (username, message), f"{(username, message)!r} was expected, got {got!r}"
