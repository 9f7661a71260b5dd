"""A service manager, as far as the server sees it: it makes sockets that listen, starts the server with them, and is told how it is."""

import os
import re
import select
import socket
import sys
import tempfile

from talk import DEADLINE, Client, Server

# Puts the descriptors of its first argument where sd_listen_fds(3) has them, says whom they are for, and becomes the server.
LAUNCH = """
import fcntl, os, sys
kept = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1].split()]
for place, number in enumerate(kept):
    os.dup2(number, 3 + place)
    os.close(number)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def listener(kind=socket.SOCK_STREAM, listens=True):
    """A socket as a socket unit makes it: blocking, with a queue for those who come while no server is there."""
    result = socket.socket(socket.AF_INET, kind)
    result.bind(("127.0.0.1", 0))
    if listens:
        result.listen(128)
    return result


def launcher(sockets):
    return [sys.executable, "-S", "-c", LAUNCH, " ".join(str(each.fileno()) for each in sockets)]


def activation(sockets, names=None):
    """The environment that goes with the sockets."""
    return {"LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": ":".join(names or ["tcpserver.socket"] * len(sockets))}


def activated(*arguments, sockets, names=None, environment=None, listen=(), **options):
    """A server that is given these sockets."""
    server = Server(*arguments, listen=listen, launcher=launcher(sockets), passed=[each.fileno() for each in sockets],
                    environment=dict(activation(sockets, names), **(environment or {})), **options)
    server.output.wait(r"^\[O\] The server is now listening", len(sockets) + len(listen))
    return server


def connect(server, listening):
    client = Client(listening.getsockname())
    server.clients.append(client)
    return client


class Manager:
    """Where the server sends what it has to tell; 'abstract': the name is not in the file system."""

    def __init__(self, abstract=False):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpchat-manager-")
        path = os.path.join(self.folder.name, "notify")
        self.name = "@" + path if abstract else path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path if abstract else path)
        self.socket.settimeout(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.folder.cleanup()

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def told(self, wait=True):
        """The next datagram as a dictionary; None when there is none and nobody waits."""
        if not wait and not select.select([self.socket], [], [], 0)[0]:
            return None
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(re.fullmatch("([A-Z_]+)=(.*)", line).groups() for line in lines)

    def until(self, name, wait=True):
        """The first datagram that has this name; those before it are dropped."""
        while True:
            lines = self.told(wait)
            assert lines is not None, f"{name} was not told"
            if name in lines:
                return lines
