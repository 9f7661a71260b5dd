"""
A peer of the gRPC door that does what the test says, frame by frame: HTTP/2 by python3-h2, messages and protobuf by hand.

        peer = Peer(server)
        call = peer.call("/rpc.ChatService/Chat")
        call.send(join("tea", "bob"))
        assert call.message() == ("bob", "Has entered the chat")
        call.reset()

It reads only when a test waits for something, and opens its windows again for what it has read, unless grants is False.
"""

import socket
import struct
import sys

from secure import context
from talk import DEADLINE, skip

DEBIAN = "/usr/lib/python3/dist-packages"  # where Debian has it; the tests may run under another python3 of that version
if DEBIAN not in sys.path:
    sys.path.append(DEBIAN)
try:
    import h2.config
    import h2.connection
    import h2.errors
    import h2.events
    import h2.exceptions
    import h2.settings
    import hyperframe.frame
except ImportError:
    h2 = None

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OK, DEADLINE_EXCEEDED, NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = 0, 4, 5, 3, 8, 12, 14


# ---- Protobuf. ----

def varint(value):
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def field(number, value):
    """A field whose value is a text, or bytes."""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The fields of a message, by number; numbers are numbers."""
    result, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        size, at = read_varint(data, at)
        if tag & 7 == 0:
            result[tag >> 3] = size
        else:
            result[tag >> 3] = bytes(data[at:at + size])
            at += size
    return result


def join(room, name):
    return field(1, field(1, room) + field(2, name))


def text(words):
    return field(2, field(2, words))


def framed(message, compressed=0):
    return struct.pack(">BI", compressed, len(message)) + message


# ---- The peer. ----

class Call:
    def __init__(self, peer, number):
        self.peer = peer
        self.id = number
        self.headers = None
        self.trailers = None
        self.data = bytearray()
        self.received = 0  # bytes of data
        self.ended = False
        self.reset_code = None

    def raw(self, data, end=False):
        """Sends bytes, as far as the server's windows take them at a time, and as long as it wants them."""
        at = 0
        while (at < len(data) or end) and not self.ended and self.reset_code is None:
            room = min(self.peer.h2.local_flow_control_window(self.id), self.peer.h2.max_outbound_frame_size)
            if room == 0 and at < len(data):
                self.peer.receive()
                continue
            piece = data[at:at + room]
            at += len(piece)
            last = end and at >= len(data)
            self.peer.h2.send_data(self.id, piece, end_stream=last)
            self.peer.flush()
            if last:
                return

    def send(self, message, end=False):
        self.raw(framed(message), end)

    def half_close(self):
        self.peer.h2.end_stream(self.id)
        self.peer.flush()

    def reset(self, code=8):  # CANCEL
        self.peer.h2.reset_stream(self.id, code)
        self.peer.flush()

    def bytes(self):
        """The next message as it is, or None at the end."""
        while True:
            if len(self.data) >= 5:
                compressed, size = struct.unpack(">BI", self.data[:5])
                assert compressed == 0
                if len(self.data) >= 5 + size:
                    message = bytes(self.data[5:5 + size])
                    del self.data[:5 + size]
                    return message
            if self.ended or self.reset_code is not None:
                assert not self.data, f"the end came within a message: {bytes(self.data)!r}"
                return None
            self.peer.receive()

    def message(self):
        """The next rpc.Message: name and text."""
        message = self.bytes()
        assert message is not None, f"a message was expected, but the call has ended: {self.trailers or self.headers}"
        found = fields(message)
        return found.get(1, b"").decode(), found.get(2, b"").decode()

    def wait_end(self):
        while not self.ended and self.reset_code is None:
            self.peer.receive()

    def status(self):
        """How the call ended: its number and its words."""
        self.wait_end()
        last = self.trailers or self.headers
        assert last is not None and "grpc-status" in last, f"no status: {self.headers}, {self.trailers}, reset {self.reset_code}"
        return int(last["grpc-status"]), last.get("grpc-message", "")


class Peer:
    def __init__(self, server, secure=False, window=None, grants=True, begins=True):
        if h2 is None:
            skip("there is no python3-h2 for this Python")
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            self.socket = context(protocols=("h2",)).wrap_socket(self.socket, server_hostname="localhost")
        server.clients.append(self)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=True))
        # Calls go on after a GOAWAY, which python3-h2 takes for the end.
        self.h2._frame_dispatch_table[hyperframe.frame.GoAwayFrame] = self._note_goaway
        self.calls = {}
        self.grants = grants
        self.goaway = None  # code and words
        self.pongs = []
        self.settings = {}
        self.ended = False
        if begins:
            if window is not None:
                self.h2.local_settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE] = window
                self.h2.local_settings.acknowledge()
            self.h2.initiate_connection()
            self.flush()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def call(self, path, *more, method="POST", kind="application/grpc", end=False, te=True):
        call = Call(self, self.h2.get_next_available_stream_id())
        self.calls[call.id] = call
        headers = [(":method", method), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
        headers += [("content-type", kind)] if kind else []
        headers += [("te", "trailers")] if te else []
        self.h2.send_headers(call.id, [*headers, *more], end_stream=end)
        self.flush()
        return call

    def ask(self, path, message=b"", *more):
        """A call with one request. Returns its answer, which may be None, and its status."""
        call = self.call(path, *more)
        call.send(message, end=True)
        answer = call.bytes()
        return answer, call.status()

    def ask_much(self, calls, request, rounds=8):
        """Sends the request in each of the calls as often as the server's windows take it, again and again."""
        for i in range(rounds):
            for call in calls:
                room = min(self.h2.local_flow_control_window(call.id), self.h2.max_outbound_frame_size)
                self.h2.send_data(call.id, framed(request) * (room // len(framed(request))))
                self.flush()
            self.h2.ping(b"%08d" % i)
            self.flush()
            self.receive_until(lambda: self.pongs and self.pongs[-1] == b"%08d" % i)

    def receive(self):
        """Waits for what comes next, and takes note of it."""
        assert not self.ended, "the connection has ended"
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            raise AssertionError(f"nothing came for {DEADLINE} s") from None
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            for call in self.calls.values():
                if not call.ended and call.reset_code is None:
                    call.reset_code = -1
            return
        for event in self.h2.receive_data(data):
            self._note(event)
        try:
            self.flush()
        except OSError:
            pass  # the next read says it

    def receive_until(self, condition):
        while not condition():
            self.receive()

    def _note_goaway(self, frame):
        self.goaway = (frame.error_code, frame.additional_data.decode())
        return [], []

    def _note(self, event):
        call = self.calls.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            call.headers = dict(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            call.trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            call.data += event.data
            call.received += len(event.data)
            if self.grants and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            call.ended = True
        elif isinstance(event, h2.events.StreamReset):
            if call is not None and not call.ended:
                call.reset_code = int(event.error_code)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs.append(event.ping_data)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({int(code): change.new_value for code, change in event.changed_settings.items()})

    def wait_end(self):
        while not self.ended:
            self.receive()
