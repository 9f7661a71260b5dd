"""Several servers that share an engine (a database of tests/engines), each of which may be killed, or cut off from it."""

import os
import random
import subprocess
import sys
import threading
import urllib.parse

from phoenix import Phoenix
from talk import DEADLINE, Server

PROXY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy.py")


class Road:
    """A proxy of its own between a server and the engine: it delays and splits, and, if 'mean' is not 0, cuts."""

    def __init__(self, port, seed, mean):
        self.to, self.seed, self.mean = port, seed, mean
        self.port = 0
        self.process = None
        self.open(mean)

    def open(self, mean):
        self.process = subprocess.Popen(
            [sys.executable, PROXY, "--to", f"127.0.0.1:{self.to}", "--listen", str(self.port), "--seed", str(self.seed),
             "--mean", str(mean)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.rpartition(":")[2])

    def shut(self):
        """From now on there is no way, until open()."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def url_through(url, port):
    """The same URL by another port."""
    parts = urllib.parse.urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()


class Cluster:
    """
    engine  with 'url', 'port', restart() and crash()
    mean    bytes on the way from the engine between cuts, on average; 0: none; None: no proxy between
    """

    def __init__(self, engine, rng, count=3, mean=None, options=(), where=lambda number: {}):
        self.engine, self.random = engine, rng
        self.roads = [Road(engine.port, rng.getrandbits(32), mean) for _ in range(count)] if mean is not None else []
        urls = [url_through(engine.url, road.port) for road in self.roads] or [engine.url] * count
        self.phoenixes = [Phoenix(lambda url=url, i=i: Server(*options, journal=url, **where(i))) for i, url in enumerate(urls)]
        self.faults = 0
        self._work = None

    def __enter__(self):
        for phoenix in self.phoenixes:
            phoenix.start()
        return self

    def __exit__(self, kind, error, trace):
        if self._work is not None:
            self._work.join(DEADLINE)
        for phoenix in self.phoenixes:
            phoenix.__exit__(kind, error, trace)
        for road in self.roads:
            road.shut()
        return False

    def living(self):
        return [phoenix for phoenix in self.phoenixes if phoenix.server is not None]

    def place(self):
        """Of a server that lives, whichever; None: there is none."""
        living = self.living()
        return self.random.choice(living).place() if living else None

    def place_of(self, number):
        return lambda: self.phoenixes[number].place()

    def kill_one(self):
        """kill -9 of one that lives, unless it is the last. Returns it, or None."""
        living = self.living()
        if len(living) < 2:
            return None
        phoenix = self.random.choice(living)
        phoenix.kill()
        return phoenix

    def disturb(self, what):
        """Has the engine restart, or crash, while all else goes on; one such at a time. Returns whether it was begun."""
        if self._work is not None and self._work.is_alive():
            return False
        self.faults += 1
        self._work = threading.Thread(target=what)
        self._work.start()
        return True

    def calm(self):
        """All servers live, the engine stays, and nothing cuts any more."""
        if self._work is not None:
            self._work.join(2 * DEADLINE)
        for road in self.roads:
            road.shut()
            road.open(0)
        for phoenix in self.phoenixes:
            if phoenix.server is None:
                phoenix.start()

    def stop(self):
        for phoenix in self.phoenixes:
            phoenix.stop()

    @property
    def kills(self):
        return sum(phoenix.kills for phoenix in self.phoenixes)
