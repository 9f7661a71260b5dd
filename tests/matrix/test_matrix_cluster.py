"""
One chat on three servers that share a database, whatever the way in: as test_matrix.py, but the ways in are spread over the servers, and those
that know themselves again by an id come to another server each time that they connect. Servers are killed in the middle, too.
"""

import os
import random
import sys
import threading
import time

for folder in "talk", "proof", "web", "engines":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))

import test_matrix
from phoenix import Phoenix
from talk import DEADLINE, Server, main, skip

SERVERS = 3
ROAMERS = ("event", "websocket", "grpc", "sse", "curl")  # but for what they say by POST, which has no id of a client


class ClusterHouse(test_matrix.House):
    """Each server has a port that stays."""

    def __init__(self, engine):
        super().__init__()
        self.engine = engine
        self.places = [f"127.0.0.1:{test_matrix.free_port()}" for _ in range(SERVERS)]
        self.phoenixes = [Phoenix(lambda place=place: self.make_at(place)) for place in self.places]
        self.phoenix = self.phoenixes[0]
        self.living = [threading.Event() for _ in self.places]
        self.homes = {}

    def make_at(self, place):
        return Server("--tls", "self", listen=(place,), journal=self.engine.url, history="none",
                      environment={"STATE_DIRECTORY": self.folder})

    def __enter__(self):
        super().__enter__()
        for phoenix in self.phoenixes[1:]:
            phoenix.start()
        for lives in self.living:
            lives.set()
        return self

    def __exit__(self, kind, error, trace):
        for phoenix in self.phoenixes[1:]:
            phoenix.__exit__(kind, error, trace)
        return super().__exit__(kind, error, trace)

    def number(self):
        """Of the server for the thread that asks."""
        name = threading.current_thread().name
        if name.partition("-")[0] in ROAMERS and not name.endswith("-post"):
            return random.choice([number for number, lives in enumerate(self.living) if lives.is_set()] or [0])
        return self.homes.setdefault(name.removesuffix("-post"), len(self.homes) % SERVERS)

    def port(self):
        number = self.number()
        self.living[number].wait(DEADLINE)
        return int(self.places[number].rpartition(":")[2])

    def wait_for_change(self, port):
        time.sleep(0.02)
        for place, lives in zip(self.places, self.living):
            if place.endswith(f":{port}"):
                lives.wait(DEADLINE)

    def kill(self):
        number = random.randrange(SERVERS)
        self.living[number].clear()
        self.phoenixes[number].kill()
        self.phoenixes[number].start()
        self.living[number].set()

    def messages(self):
        """What was said is the same on each; who came and went may still become more."""
        kept = [[event for event in self.messages_at(int(place.rpartition(":")[2])) if event["kind"] == "message"]
                for place in self.places]
        assert all(other == kept[0] for other in kept), "the servers do not have the same messages"
        return kept[0]


def engine(module, kind):
    try:
        engines = __import__(module)
        return getattr(engines, kind)()
    except ImportError as error:
        skip(str(error))
    except engines.Skip as reason:
        skip(str(reason))


def talk_among(database, kills):
    with database:
        test_matrix.talk_among(test_matrix.all_kinds(), kills, lambda: ClusterHouse(database))


def test_each_way_in_to_three_servers_on_postgres_hears_the_same():
    talk_among(engine("postgres", "Postgres"), 0)


def test_each_way_in_to_three_servers_on_postgres_hears_the_same_when_they_are_killed():
    talk_among(engine("postgres", "Postgres"), 5)


def test_each_way_in_to_three_servers_on_redis_hears_the_same():
    talk_among(engine("redis", "Redis"), 0)


def test_each_way_in_to_three_servers_on_redis_hears_the_same_when_they_are_killed():
    talk_among(engine("redis", "Redis"), 5)


if __name__ == "__main__":
    main(12 * DEADLINE)
