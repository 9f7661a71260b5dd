"""
A proxy that cuts, delays and splits, and changes nothing but time.

Each connection through it gets, by chance, a number of bytes after which it is cut, in one direction or the other, and one of
these ends:

  both      both sides are closed, in good order (FIN)
  reset     both sides are reset (RST), and what was under way is gone
  client    the client's side is reset; the server's stays open for a while, silent: its connection is a ghost
  server    the server's side is reset; the client's stays open for a while, silent
  half up   bytes from the client are swallowed from now on, those from the server go through
  half down the other way round

Until then bytes are passed on in pieces of random sizes, some after a short wait. What is passed on is always the start of what
came: no byte is changed, added, or taken out of the middle.

By itself:  proxy.py --to HOST:PORT [--host HOST] [--listen PORT] [--seed N] [--mean BYTES]
"""

import argparse
import random
import socket
import struct
import sys
import time

from loop import READ, WRITE, Loop

CHUNK = 1 << 16
PILE_MOST = 1 << 18  # bytes that wait here; then the sender has to wait
NEVER = 1 << 60
GHOST_SECONDS = (0.05, 2.0)
HALF_SECONDS = 60  # after which a half-dead connection ends, if nobody has left it
ENDS = ("both", "reset", "client", "server", "half up", "half down")


class Pipe:
    """One direction of a connection."""

    def __init__(self, link, source, target, budget):
        self.link, self.source, self.target, self.budget = link, source, target, budget
        self.pile = bytearray()
        self.ended = False      # the source has closed its side
        self.swallows = False
        self.rests_until = 0.0


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy, client):
        self.proxy, self.loop, self.random = proxy, proxy.loop, proxy.random
        self.client = client
        self.server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.closed = self.cut = False
        for sock in (client, self.server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.connect_ex(proxy.target())
        self.up = Pipe(self, client, self.server, NEVER)
        self.down = Pipe(self, self.server, client, NEVER)
        self.budget(proxy.mean)
        self.jitters = self.random.random() < 0.5
        self.watch()

    def pipes(self):
        return ((self.up, self.client), (self.down, self.server))

    def budget(self, mean):
        """Bytes until it is cut."""
        self.up.budget = self.random.expovariate(4 / mean) if mean else NEVER
        self.down.budget = self.random.expovariate(1 / mean) if mean else NEVER

    def watch(self):
        """Tells the loop what each socket waits for."""
        if self.closed:
            return
        now = time.monotonic()
        for sock, incoming, outgoing in ((self.client, self.up, self.down), (self.server, self.down, self.up)):
            events = 0
            if sock is None:
                continue
            if not incoming.ended and len(incoming.pile) < PILE_MOST:
                events |= READ
            if outgoing.pile and outgoing.rests_until <= now:
                events |= WRITE
            self.loop.watch(sock, events, lambda ready, sock=sock: self.ready(sock, ready))

    def ready(self, sock, events):
        try:
            if events & READ:
                self.receive(self.up if sock is self.client else self.down)
            if events & WRITE and not self.closed and sock in (self.client, self.server):
                self.send(self.down if sock is self.client else self.up)
        except BlockingIOError:
            pass
        except OSError:
            self.close(reset=True)
        self.watch()

    def receive(self, pipe):
        data = pipe.source.recv(CHUNK)
        if not data:
            pipe.ended = True
            if not pipe.pile:
                self.close()
            return
        if not pipe.swallows and not self.cut:
            pipe.pile += data

    def send(self, pipe):
        size = min(len(pipe.pile), CHUNK, max(1, int(pipe.budget)))
        if self.jitters and self.random.random() < 0.3:
            size = self.random.randint(1, size)
            if self.random.random() < 0.2:
                self.rest(pipe, self.random.uniform(0.001, 0.03))
        sent = pipe.target.send(pipe.pile[:size])
        del pipe.pile[:sent]
        pipe.budget -= sent
        self.proxy.bytes += sent
        if pipe.budget < 1:
            self.end(self.random.choice(ENDS))
        elif pipe.ended and not pipe.pile:
            self.close()

    def rest(self, pipe, seconds):
        pipe.rests_until = time.monotonic() + seconds
        self.loop.later(seconds, self.watch)

    def end(self, how):
        """Cuts it."""
        self.proxy.cuts += 1
        self.proxy.ends[how] += 1
        for pipe, _ in self.pipes():
            pipe.budget = NEVER
        seconds = self.random.uniform(*GHOST_SECONDS)
        if how in ("both", "reset"):
            self.close(reset=how == "reset")
        elif how == "client":
            self.cut = True
            self.leave("client")
            self.loop.later(seconds, lambda: self.close(reset=True))
        elif how == "server":
            self.cut = True
            self.leave("server")
            self.loop.later(seconds, lambda: self.close(reset=True))
        else:
            pipe = self.up if how == "half up" else self.down
            pipe.swallows = True
            pipe.pile.clear()
            self.loop.later(self.proxy.half_seconds, lambda: self.close(reset=True))

    def leave(self, side):
        """One of the two sockets goes; the other one hears nothing of it."""
        sock = getattr(self, side)
        setattr(self, side, None)
        for pipe, _ in self.pipes():
            pipe.pile.clear()
        self.shut(sock, True)

    def shut(self, sock, reset):
        self.loop.forget(sock)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def close(self, reset=False):
        if self.closed:
            return
        self.closed = True
        for sock in (self.client, self.server):
            if sock is not None:
                self.shut(sock, reset)
        self.proxy.links.discard(self)


class Proxy:
    """
    target   a function that gives the address of the server, or None while there is none: then nobody is let in
    mean     bytes from the server after which a connection is cut, on average; 0: never
    """

    def __init__(self, loop, target, rng, mean, port=0, half_seconds=HALF_SECONDS, host="127.0.0.1"):
        self.loop, self.target, self.random, self.mean, self.half_seconds = loop, target, rng, mean, half_seconds
        self.cuts = self.connections = self.bytes = 0
        self.ends = dict.fromkeys(ENDS, 0)
        self.links = set()
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(64)
        self.listener.setblocking(False)
        loop.watch(self.listener, READ, self.accept)

    def place(self):
        return self.listener.getsockname()

    def accept(self, _):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        if self.target() is None:
            client.close()
            return
        self.connections += 1
        self.links.add(Link(self, client))

    def rouse(self, mean):
        """From now on it cuts, those too that are connected already."""
        self.mean = mean
        for link in self.links:
            link.budget(mean)

    def calm(self):
        """No more cuts; connections that are half dead end now."""
        self.mean = 0
        for link in list(self.links):
            for pipe, _ in link.pipes():
                pipe.budget = NEVER
            if link.cut or link.up.swallows or link.down.swallows:
                link.close(reset=True)

    def close(self):
        self.loop.forget(self.listener)
        self.listener.close()
        for link in list(self.links):
            link.close(reset=True)


def main():
    parser = argparse.ArgumentParser(description="A proxy that cuts, delays and splits TCP connections.")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--listen", type=int, default=0, metavar="PORT")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--mean", type=int, default=100000, metavar="BYTES", help="between cuts; 0: no cuts")
    options = parser.parse_args()
    host, _, port = options.to.rpartition(":")
    loop = Loop()
    proxy = Proxy(loop, lambda: (host, int(port)), random.Random(options.seed), options.mean, options.listen,
                  host=options.host)
    print("listening on {}:{}".format(*proxy.place()), flush=True)
    while True:
        loop.turn(1.0)


if __name__ == "__main__":
    sys.exit(main())
