"""Connections of the matrix: blocking sockets, plain or through TLS, that are read by the line or by the byte."""

import base64
import json
import os
import socket
import ssl
import struct

SECONDS = 60  # after which a peer that waits for something has failed


class Gone(Exception):
    """The connection broke, or the server is not there."""


def _context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the certificate is one that the server made
    context.verify_mode = ssl.CERT_NONE
    return context


class Wire:
    def __init__(self, port, secure):
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
            if secure:
                self.socket = _context().wrap_socket(self.socket, server_hostname="localhost")
        except OSError as error:
            raise Gone(error) from error
        self.buffer = bytearray()

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Gone(error) from error

    def _more(self, wait):
        """Reads what there is; returns False when nothing comes within 'wait' seconds."""
        self.socket.settimeout(wait)
        try:
            data = self.socket.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError as error:
            raise Gone(error) from error
        finally:
            self.socket.settimeout(SECONDS)
        if not data:
            raise Gone("the end")
        self.buffer += data
        return True

    def line(self, wait=SECONDS):
        """The next line without its end; None when none comes in time."""
        while (end := self.buffer.find(b"\n")) < 0:
            if not self._more(wait):
                return None
        line = bytes(self.buffer[:end]).decode().removesuffix("\r")
        del self.buffer[:end + 1]
        return line

    def bytes(self, count, wait=SECONDS):
        """So many bytes; None when the first of them does not come in time."""
        while len(self.buffer) < count:
            if not self._more(wait):
                return None
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data


class WebSocketWire(Wire):
    def __init__(self, port, secure, target):
        super().__init__(port, secure)
        key = base64.b64encode(os.urandom(16)).decode()
        self.send(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        status = self.line()
        assert status == "HTTP/1.1 101 Switching Protocols", status
        while self.line():
            pass

    def frame(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size))
        self.send(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def send_json(self, value):
        self.frame(1, json.dumps(value).encode())

    def _frame(self, wait):
        head = self.bytes(2, wait)
        if head is None:
            return None
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self.bytes(2 if size == 126 else 8), "big")
        return head[0], self.bytes(size) if size else b""

    def message(self, wait=SECONDS):
        """The next text, as JSON; None when none comes in time."""
        whole = b""
        while (frame := self._frame(wait)) is not None:
            first, payload = frame
            opcode = first & 0x0F
            if opcode == 8:
                raise Gone(f"closed: {payload!r}")
            if opcode == 9:
                self.frame(10, payload)
            elif opcode < 8:
                whole += payload
                if first & 0x80:
                    return json.loads(whole)
        return None
