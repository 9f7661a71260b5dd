"""
Who talks in the matrix: one class for each way in. Each peer says 'count' numbered texts, "NAME 0", "NAME 1", ..., and reads
everything that is said in the lobby, over as many connections as it takes; what it heard is in 'heard', in order: for ways that
tell a message's number and time (seq, at, participant, text), for the others (None, None, participant, text).

Each one uses what its way in has to be sure of its own: ids, idempotency keys, or a look at what was said.
"""

import datetime
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import tempfile
import threading
import types
from pathlib import Path

import grpc_client
import test_page
from talk import _PR_SET_PDEATHSIG, _libc, clean_environment, program
from wires import Gone, SECONDS, WebSocketWire, Wire, _context

HERE = Path(__file__).resolve().parent
SOON = 0.02  # how long one that has more to say waits for others' words


class Peer(threading.Thread):
    hides_own = False  # who is not shown what it said itself since it came

    def __init__(self, house, kind, secure, count):
        self.house, self.secure, self.count = house, secure, count
        self.called = f"{kind}-{'tls' if secure else 'plain'}"
        super().__init__(name=self.called, daemon=True)
        self.heard = []
        self.said = 0       # of its own texts, those that it knows to be kept
        self.failure = None
        self.connections = 0

    def run(self):
        try:
            while not self.is_done():
                port = self.house.port()
                try:
                    self.connections += 1
                    self.converse(port)
                except Gone:
                    self.house.wait_for_change(port)
        except BaseException as failure:  # the test tells
            self.failure = failure
            self.house.give_up()
            raise

    def next_text(self):
        return f"{self.called} {self.said}"

    def is_done(self):
        return self.house.over or (self.said == self.count and self.has_heard_all())

    def has_heard_all(self):
        return len(self.texts()) >= self.house.expected

    def texts(self):
        return [entry for entry in self.heard if entry[3] is not None]

    def hear(self, event):
        """An event that has a number."""
        if event["seq"] <= self.last():
            raise AssertionError(f"{self.called} got {event['seq']} after {self.last()}")
        assert event["seq"] == self.last() + 1, f"{self.called} got {event['seq']} after {self.last()}"
        self.heard.append((event["seq"], event["at"], event["participant"], event.get("text") if event["kind"] == "message" else None))

    def last(self):
        return self.heard[-1][0] if self.heard else 0

    def converse(self, port):
        """One connection: comes back to where it was, goes on, and returns when it is done; or raises Gone."""
        raise NotImplementedError


class EventPeer(Peer):
    """Event mode: a session id, numbered requests."""

    def __init__(self, house, secure, count, kind="event"):
        super().__init__(house, kind, secure, count)
        self.session = secrets.token_hex(16)

    def open(self, port):
        self.wire = Wire(port, self.secure)

    def send(self, request):
        self.wire.send(json.dumps(request).encode() + b"\n")

    def receive(self, wait):
        line = self.wire.line(wait)
        return None if line is None else json.loads(line)

    def converse(self, port):
        self.open(port)
        try:
            self.send({"op": "session", "session": self.session, "name": self.called, "after": self.last()})
            asked = False
            while not self.is_done():
                if not asked and self.said < self.count:
                    self.send({"op": "send", "text": self.next_text(), "id": self.said + 1})
                    asked = True
                event = self.receive(SECONDS)
                assert event is not None, f"{self.called} waits for something that does not come"
                if event.get("code") == "said":
                    assert event["id"] == self.said + 1, event
                    self.said += 1
                    asked = False
                elif event["kind"] == "error":
                    raise AssertionError(f"{self.called}: {event}")
                elif event.get("seq"):
                    self.hear(event)
        finally:
            self.wire.close()


class WebSocketPeer(EventPeer):
    def __init__(self, house, secure, count):
        super().__init__(house, secure, count, "websocket")

    def open(self, port):
        self.wire = WebSocketWire(port, self.secure, "/chat/join")

    def send(self, request):
        self.wire.send_json(request)

    def receive(self, wait):
        return self.wire.message(wait)


class LinePeer(Peer):
    """What telnet does: no numbers, so after a break it looks at what was said before it says more."""

    OLD = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ)\] (.*)")

    def __init__(self, house, secure, count):
        super().__init__(house, "lines", secure, count)

    def take(self, line):
        old = self.OLD.fullmatch(line)
        line = old.group(2) if old else line
        name, colon, text = line.partition(": ")
        if not colon or line.startswith(("* ", "! ", 'User "', "== ")):
            assert not line.startswith("! "), f"{self.called}: {line}"
            return None
        return None, None, name, text

    def line(self):
        line = self.wire.line()
        assert line is not None, f"{self.called} waits for a line that does not come"
        if line.startswith("== The server"):
            raise Gone(line)
        return line

    def look_back(self):
        """How many of its own are kept: the number in the last of them."""
        self.wire.send(b"/history 500\n")
        while not re.match(r"\* (\d+ message|nothing was said)", line := self.line()):
            said = self.take(line)
            if said is not None and said[2] == self.called:
                self.said = max(self.said, int(said[3].rpartition(" ")[2]) + 1)

    def converse(self, port):
        self.wire = Wire(port, self.secure)
        try:
            self.wire.send(self.called.encode() + b"\n")
            line = self.line()
            assert line.startswith(f"* Welcome {self.called} "), line
            self.look_back()
            self.wire.send(b"/join lobby --history all\n")
            while not self.line().startswith("* You are in lobby, "):
                pass
            self.heard = []
            asked = False
            while not self.is_done():
                if not asked and self.said < self.count:
                    self.wire.send(self.next_text().encode() + b"\n")
                    asked = True
                said = self.take(self.line())
                if said is not None:
                    self.heard.append(said)
                    if asked and said[2:] == (self.called, self.next_text()):
                        self.said += 1
                        asked = False
        finally:
            self.wire.close()


class GoChatPeer(Peer):
    """Go-Chat's WebSocket: all that was said, then what is said, but for its own."""

    hides_own = True

    def __init__(self, house, secure, count):
        super().__init__(house, "gochat", secure, count)

    def take(self, message):
        assert message["username"] != "server", f"{self.called}: {message}"
        self.heard.append((None, None, message["username"], message["message"]))

    def has_heard_all(self):
        return len(self.heard) >= self.house.expected - self.sent_here

    sent_here = 0  # own ones that this connection does not show

    def converse(self, port):
        wire = WebSocketWire(port, self.secure, "/")
        try:
            self.heard, self.sent_here = [], 0
            history = wire.message()
            assert isinstance(history, list), history
            for message in history:
                self.take(message)
            self.said = sum(entry[2] == self.called for entry in self.heard)
            while not self.is_done():
                if self.said < self.count:
                    wire.send_json({"username": self.called, "message": self.next_text()})
                    self.said += 1
                    self.sent_here += 1
                message = wire.message(SOON if self.said < self.count else SECONDS)
                assert message is not None or self.said < self.count, f"{self.called} waits for a message that does not come"
                if message is not None:
                    self.take(message)
        finally:
            wire.close()


class GrpcWire:
    """A call of gRPC, over a connection of its own, by Google's library."""

    def __init__(self, house, port, secure, service, method):
        server = types.SimpleNamespace(port=port, clients=[])
        self.channel = grpc_client.Channel(server, certificate=house.certificate if secure else None)
        self.stream = getattr(self.channel.service(service), method)()

    def close(self):
        self.channel.close()

    def send(self, **fields):
        self.stream.send(**fields)

    def message(self, wait=SECONDS):
        """The next message; None when none comes in time."""
        message = self.stream.take(wait)
        if message is grpc_client.END:
            raise Gone("the end of the call")
        return message


class GrpcPeer(EventPeer):
    """tcpchat.v1.Chat/Talk: event mode in protobuf."""

    def __init__(self, house, secure, count):
        super().__init__(house, secure, count, "grpc")

    def open(self, port):
        self.wire = GrpcWire(self.house, port, self.secure, "tcpchat.v1.Chat", "Talk")

    def send(self, request):
        fields = {name: value for name, value in request.items() if name not in ("op", "id")}
        self.wire.send(id=request.get("id", 0), **{request["op"]: fields})

    def receive(self, wait):
        message = self.wire.message(wait)
        return None if message is None else self.event(message)

    @staticmethod
    def event(message):
        """As event mode has it."""
        kinds = message.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number
        at = datetime.datetime.fromtimestamp(message.at_ns // 10**9, datetime.timezone.utc)
        return {"seq": message.seq, "kind": kinds[message.kind].name.removeprefix("KIND_").lower(), "participant": message.participant,
                "text": message.text, "code": message.code, "id": message.id,
                "at": f"{at:%Y-%m-%dT%H:%M:%S}.{message.at_ns // 10**6 % 1000:03}Z"}


class ChatroomPeer(Peer):
    """rpc.ChatService/Chat, which shows no more than ten messages of the past: the others, and its own, it learns from
    MessageService/FindAll once it is in the room."""

    hides_own = True
    sent_here = 0  # own ones that this connection does not show

    def __init__(self, house, secure, count):
        super().__init__(house, "chatroom", secure, count)

    def has_heard_all(self):
        return len(self.heard) >= self.house.expected - self.sent_here

    def past(self):
        """All that was said until now."""
        try:
            return [(said.username, said.message) for said in self.wire.channel.service("MessageService").FindAll(timeout=SECONDS).data]
        except grpc_client.Failed as failed:
            raise Gone(failed) from failed

    def take(self, message, known=()):
        assert message.name != "chat server", f"{self.called}: {message}"
        said = message.name, message.message
        if said not in known and not message.message.startswith("Has "):
            self.heard.append((None, None, *said))

    def converse(self, port):
        self.wire = GrpcWire(self.house, port, self.secure, "rpc.ChatService", "Chat")
        try:
            self.wire.send(join={"room_id": "lobby", "name": self.called})
            while (message := self.wire.message()).name != self.called or message.message != "Has entered the chat":
                pass
            past = self.past()
            self.heard, self.sent_here = [(None, None, *said) for said in past], 0
            self.said = sum(name == self.called for name, _ in past)
            while not self.is_done():
                if self.said < self.count:
                    self.wire.send(message={"message": self.next_text()})
                    self.said += 1
                    self.sent_here += 1
                message = self.wire.message(SOON if self.said < self.count else SECONDS)
                assert message is not None or self.said < self.count, f"{self.called} waits for a message that does not come"
                if message is not None:
                    self.take(message, set(past))
        finally:
            self.wire.close()


class HttpSpeaker(threading.Thread):
    """Says the texts of a peer by POST, each with a key of its own, until it is told that it is kept."""

    def __init__(self, peer):
        super().__init__(name=f"{peer.called}-post", daemon=True)
        self.peer = peer
        self.failure = None

    def run(self):
        peer = self.peer
        try:
            while peer.said < peer.count and not peer.house.over:
                port = peer.house.port()
                try:
                    self.post(port, peer.next_text(), f"{peer.session}-{peer.said}")
                    peer.said += 1
                except (OSError, http.client.HTTPException, Gone):
                    peer.house.wait_for_change(port)
        except BaseException as failure:
            peer.failure = failure
            peer.house.give_up()
            raise

    def post(self, port, text, key):
        where = f"/rooms/lobby/messages?name={self.peer.called}"
        if self.peer.secure:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=_context())
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("POST", where, text.encode(), {"Content-Type": "text/plain", "Idempotency-Key": key})
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status in (200, 201), (answer.status, body)
        finally:
            connection.close()


class StreamPeer(Peer):
    """Server-sent events, and POST."""

    speaker = HttpSpeaker

    def __init__(self, house, secure, count, kind="sse"):
        super().__init__(house, kind, secure, count)
        self.session = secrets.token_hex(16)

    def start(self):
        self.speaking = self.speaker(self)
        self.speaking.start()
        super().start()

    def converse(self, port):
        wire = Wire(port, self.secure)
        try:
            wire.send(f"GET /rooms/lobby/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n"
                      f"Last-Event-ID: {self.last()}\r\n\r\n".encode())
            status = wire.line()
            assert status == "HTTP/1.1 200 OK", status
            while wire.line():
                pass
            while not self.house.over and not self.has_heard_all():
                line = wire.line()
                assert line is not None, f"{self.called} waits for an event that does not come"
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    if event.get("seq"):
                        self.hear(event)
            self.speaking.join()  # it is about to learn that its last one is kept
        finally:
            wire.close()


class CurlSpeaker(HttpSpeaker):
    def post(self, port, text, key):
        scheme = "https" if self.peer.secure else "http"
        done = subprocess.run(
            ["curl", "-q", "-sk", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Idempotency-Key: {key}", "-d", text,
             f"{scheme}://127.0.0.1:{port}/rooms/lobby/messages?name={self.peer.called}"],
            capture_output=True, timeout=SECONDS, check=False)
        if done.returncode != 0:
            raise Gone(done.returncode)
        assert done.stdout in (b"200", b"201"), done.stdout


class CurlPeer(StreamPeer):
    """curl -N, and curl -d."""

    speaker = CurlSpeaker

    def __init__(self, house, secure, count):
        super().__init__(house, secure, count, "curl")

    def converse(self, port):
        scheme = "https" if self.secure else "http"
        process = subprocess.Popen(
            ["curl", "-q", "-skN", "--noproxy", "*", f"{scheme}://127.0.0.1:{port}/rooms/lobby/stream?format=jsonl&after={self.last()}"],
            stdout=subprocess.PIPE, preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        try:
            while not self.house.over and not self.has_heard_all():
                line = process.stdout.readline()
                if not line.endswith(b"\n"):
                    raise Gone("the end of curl's output")
                event = json.loads(line)
                if event.get("seq"):
                    self.hear(event)
            self.speaking.join()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class ClientPeer(Peer):
    """tcpclient --json in a pipe, which comes back by itself."""

    def __init__(self, house, secure, count):
        super().__init__(house, "tcpclient", secure, count)

    def converse(self, port):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpchat-matrix-")
        place = f"{'tls://' if self.secure else ''}127.0.0.1:{port}"
        options = ["--fingerprint", self.house.fingerprint] if self.secure else []
        process = subprocess.Popen(
            [program("TCPCLIENT"), "--json", "--continue", "--history", "all", "-username", self.called, *options, place],
            env=clean_environment({"XDG_STATE_HOME": self.folder.name, "XDG_CONFIG_HOME": self.folder.name}),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        try:
            for number in range(self.count):
                process.stdin.write(f"{self.called} {number}\n".encode())
            process.stdin.flush()
            while not self.is_done():
                line = process.stdout.readline()
                if not line and not self.heard:  # a client in a pipe whose first connection is not made ends
                    raise Gone
                assert line, f"{self.called} has ended by itself"
                self.take(json.loads(line))
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
            self.folder.cleanup()

    def take(self, event):
        if event["kind"] == "error":
            raise AssertionError(f"{self.called}: {event}")
        if not event.get("seq") or event.get("code"):
            return
        if not event.get("history") or event["seq"] > self.last():  # history leaves out who came and went
            self.heard.append((event["seq"], event["at"], event["participant"], event.get("text") if event["kind"] == "message" else None))
        if event["participant"] == self.called and event["kind"] == "message":
            self.said += 1


class BrowserPeer(Peer):
    """The page, in a browser."""

    def __init__(self, house, secure, count):
        super().__init__(house, "browser", secure, count)

    def line(self):
        line = self.process.stdout.readline()
        assert line.endswith("\n"), f"{self.called}: the browser ended: {line}"
        return line

    def converse(self, port):
        scheme = "https" if self.secure else "http"
        self.process = subprocess.Popen(
            ["node", str(HERE / "page.mjs")], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=dict(os.environ, TCPSERVER=program("TCPSERVER"), BROWSER=test_page.browser(), PACKAGES=str(test_page.packages()),
                     ORIGIN=f"{scheme}://127.0.0.1:{port}", NAME=self.called, COUNT=str(self.count)),
            preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0))
        try:
            line = self.line()
            assert line == "said\n", f"{self.called}: {line}"
            self.said = self.count
            last = self.house.wait_for_last()
            if last is not None:
                self.process.stdin.write(f"{last}\n")
                self.process.stdin.flush()
                self.heard = [tuple(entry) for entry in json.loads(self.line())]
                missing = {entry[0] for entry in self.house.watched.texts()} - {entry[0] for entry in self.heard}
                assert not missing, f"{self.called} shows {len(self.heard)} messages, without {[e for e in self.house.watched.texts() if e[0] in missing]}"
        finally:
            self.process.stdin.close()
            if self.process.wait(SECONDS) != 0:
                raise AssertionError(f"{self.called}: {self.process.stdout.read()}")
            self.process.stdout.close()
