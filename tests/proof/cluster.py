"""Several servers that share an engine (a database of tests/engines), each of which may be killed, or cut off from it."""

import concurrent.futures
import os
import subprocess
import sys
import urllib.parse

from namespaces import Namespace, run
from phoenix import Phoenix
from talk import DEADLINE, Server

PROXY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "proxy.py")


class Road:
    """A proxy of its own between a server and the engine: it delays and splits, and, if 'mean' is not 0, cuts."""

    def __init__(self, port, seed, mean, host="127.0.0.1"):
        self.to, self.seed, self.mean, self.host = port, seed, mean, host
        self.port = 0
        self.process = None
        self.open(mean)

    def open(self, mean):
        self.process = subprocess.Popen(
            [sys.executable, PROXY, "--to", f"127.0.0.1:{self.to}", "--host", self.host, "--listen", str(self.port), "--seed", str(self.seed),
             "--mean", str(mean)], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.rpartition(":")[2])

    def shut(self):
        """From now on there is no way, until open()."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def url_by(url, road):
    """The same URL by a road."""
    parts = urllib.parse.urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{road.host}:{road.port}").geturl()


class Island:
    """A namespace of a server, with one cable for its clients and one to the database."""

    def __init__(self, number):
        self.number = number
        self.namespace = Namespace()
        self.clients, self.database = f"10.213.{10 + number}", f"10.213.{20 + number}"
        self.namespace.run("ip", "link", "set", "lo", "up")
        self.namespace.cable(f"people{number}-", f"{self.clients}.1", f"{self.clients}.2")
        self.namespace.cable(f"data{number}-", f"{self.database}.1", f"{self.database}.2")

    def server(self, *options, **more):
        with self.namespace.inside():
            return Server(*options, listen=(f"{self.clients}.2:0",), **more)

    def cut_off(self):
        run("ip", "link", "set", f"data{self.number}-0", "down")

    def connect(self):
        run("ip", "link", "set", f"data{self.number}-0", "up")

    def close(self):
        self.namespace.close()


class Cluster:
    """
    engine   with 'url', 'port', restart() and crash()
    mean     bytes on the way from the engine between cuts, on average; 0: none; None: no proxy between
    islands  one for each server, or none: then all are in one namespace
    """

    def __init__(self, engine, rng, count=3, mean=None, options=(), islands=()):
        self.engine, self.random, self.islands = engine, rng, islands
        hosts = [f"{island.database}.1" for island in islands] or ["127.0.0.1"] * count
        self.roads = [Road(engine.port, rng.getrandbits(32), mean, host) for host in hosts] if mean is not None else []
        urls = [url_by(engine.url, road) for road in self.roads] or [engine.url] * count
        makers = [island.server for island in islands] or [Server] * count
        self.phoenixes = [Phoenix(lambda make=make, url=url: make(*options, journal=url)) for make, url in zip(makers, urls)]
        self.faults = 0
        self._worker = concurrent.futures.ThreadPoolExecutor(1)  # one for all faults: a Redis ends with the thread that started it
        self._work = None

    def __enter__(self):
        for phoenix in self.phoenixes:
            phoenix.start()
        return self

    def __exit__(self, kind, error, trace):
        if self._work is not None:
            concurrent.futures.wait([self._work], DEADLINE)
        for phoenix in self.phoenixes:
            phoenix.__exit__(kind, error, trace)
        for road in self.roads:
            road.shut()
        self._worker.shutdown()
        return False

    def living(self):
        return [phoenix for phoenix in self.phoenixes if phoenix.server is not None]

    def place(self):
        """Of a server that lives, whichever; None: there is none."""
        living = [number for number, phoenix in enumerate(self.phoenixes) if phoenix.server is not None]
        return self.place_of(self.random.choice(living))() if living else None

    def place_of(self, number):
        def place():
            server = self.phoenixes[number].server
            return server and server.places[0]
        return place

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
        if self._work is not None and not self._work.done():
            return False
        self.faults += 1
        self._work = self._worker.submit(what)
        return True

    def calm(self):
        """All servers live, the engine stays, and nothing cuts any more."""
        if self._work is not None:
            self._work.result(2 * DEADLINE)
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
