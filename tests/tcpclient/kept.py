"""What tests of lines that break share: a server that can be killed, who listens there, and a way to it that is cut again and again."""

import json
import random
import socket
import tempfile
import threading

from support import HOST
from talk import Server


class Kept:
    """A server that keeps what is said, and can be killed and started again at the same port."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpclient-")
        self.server = None
        self.port = 0
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.process.kill()
        self.server.process.wait()
        self.folder.cleanup()

    def start(self):
        self.server = Server(listen=(f"{HOST}:{self.port}",), journal=f"sqlite:{self.folder.name}/chat.db")
        self.port = self.server.port

    def kill(self):
        self.server.process.kill()
        self.server.process.wait()

    @property
    def address(self):
        return f"{HOST}:{self.port}"


class Listener:
    """Somebody who is in a room from its beginning and notes what bob says there."""

    def __init__(self, port, room="lobby"):
        self.said = []
        self.socket = socket.create_connection((HOST, port))
        self.socket.sendall(b"ear\n")
        self.lines = self.socket.makefile("rb")
        assert b"Welcome" in self.lines.readline()
        self.socket.sendall(b'/events\n{"op":"join","room":"%s"}\n' % room.encode())
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        for line in self.lines:
            if line.startswith(b"{"):
                event = json.loads(line)
                if event["kind"] == "message" and event["participant"].startswith("bob") and not event.get("history"):
                    self.said.append(event["text"])

    def close(self):
        self.socket.close()


class Cutter:
    """A way to a server that is cut after a random number of bytes, in either direction."""

    def __init__(self, port, seed, most):
        self.target = port
        self.random = random.Random(seed)
        self.most = most
        self.cuts = True
        self.count = 0
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection((HOST, self.target))
            except OSError:
                return
            pair = (client, server)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self.pump, args=(source, sink, pair), daemon=True).start()

    def pump(self, source, sink, pair):
        left = self.random.randrange(1, self.most)
        try:
            while data := source.recv(4096):
                if self.cuts and len(data) >= left:
                    sink.sendall(data[:left])
                    self.count += 1
                    break
                left -= len(data)
                sink.sendall(data)
        except OSError:
            pass
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
