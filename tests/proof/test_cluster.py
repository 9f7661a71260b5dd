"""
Proof: several servers on one database lose and double nothing, and a room has the same order on each.

Strict clients (strict.py) talk in several rooms; each time that they connect they take any of three servers, so they resume on
others all the time. Meanwhile servers are killed and started again (kill -9), the database is restarted and killed, the ways to it are cut after
random numbers of bytes, and in namespaces of their own servers are cut off from it by a cable that is pulled, also for so long that the
others take them for dead. Afterwards each of the three servers has every room, the same, to the last message.

In the short form at least 2,000 messages are acknowledged, in the long one (CHAT_PROOF=long) 10,000, with each kind of database and of fault.
"""

import contextlib
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "engines"))

from cluster import Cluster, Island
from loop import Loop
from namespaces import in_namespace
from strict import Crowd, Ledger, audit, is_long, seed, time_limit
from talk import BUILD_KIND, DEADLINE, main, scaled, skip

ROOMS = ("lobby", "tea", "milk tea", "coffee")
BURST = 20
PATIENCE = {"plain": 2.0, "asan": 4.0, "tsan": 6.0}.get(BUILD_KIND, 4.0)  # of a client with a server that says nothing
CUT_MEAN = 2000000  # one that is half dead costs the server the five seconds after which it leaves it


def amount():
    return 10000 if is_long() else max(200, scaled(2000))


def check_built_with(engine):
    if engine not in os.environ.get("CLUSTER_ENGINES", engine).split():
        skip(f"the server was built without {engine}")


def postgres():
    check_built_with("postgres")
    import postgres as engines
    try:
        return engines.Postgres()
    except engines.Skip as reason:
        skip(str(reason))


def redis():
    check_built_with("redis")
    import redis as engines
    try:
        return engines.Redis(appendfsync="always")
    except engines.Skip as reason:
        skip(str(reason))


class Proof:
    """'step' is called now and then, while the messages flow, with this proof; it may cause a fault."""

    def __init__(self, cluster, rng, least_faults):
        self.cluster, self.random, self.least_faults = cluster, rng, least_faults
        self.loop, self.ledger = Loop(), Ledger()
        self.crowd = Crowd(self.loop, self.ledger, cluster.place, [f"talker{i}" for i in range(8)], rng, ROOMS,
                           faulty=lambda: True, patience=PATIENCE)

    def has_enough(self):
        return len(self.ledger.acknowledged) >= amount() and self.cluster.kills + self.cluster.faults >= self.least_faults

    def state(self):
        return (f"{self.ledger.summary()}; {self.cluster.kills} kills, {self.cluster.faults} faults;"
                f" {[(t.name, t._state, len(t.outbox)) for t in self.crowd.talkers]}")

    def run(self, step):
        talkers = self.crowd.talkers
        while not self.has_enough():
            self.crowd.say(BURST)
            self.loop.run_for(0.001)
            self.loop.run_until(lambda: sum(t.quota + len(t.outbox) for t in talkers) < 4 * BURST, self.state, 4 * DEADLINE)
            step(self)
        self.settle()

    def settle(self):
        self.cluster.calm()
        ends = self.crowd.settle(4 * DEADLINE)
        self.crowd.close()
        for number in range(len(self.cluster.phoenixes)):
            audit(self.loop, self.ledger, self.cluster.place_of(number), self.random, ROOMS, ends, name=f"auditor{number}")
        print(f"{self.cluster.kills} kills of servers, {self.cluster.faults} faults of the database;"
              f" {sum(t.connections for t in self.crowd.talkers)} connections; {self.ledger.summary()}", flush=True)


def prove(engine, step, faults, **options):
    rng = random.Random(seed())
    with engine, Cluster(engine, rng, options=("--journal-patience", "30"), **options) as cluster:
        Proof(cluster, rng, faults).run(step)
        cluster.stop()


# ---- Servers that are killed. ----

def kill_and_start(proof):
    """Kills one now and then, and starts it again a moment later."""
    if proof.random.random() < 0.1:
        phoenix = proof.cluster.kill_one()
        if phoenix is not None:
            proof.loop.run_for(proof.random.uniform(0, 0.5))
            phoenix.start()


def test_kill_9_of_servers_on_postgres_loses_and_doubles_nothing():
    prove(postgres(), kill_and_start, 10)


def test_kill_9_of_servers_on_redis_loses_and_doubles_nothing():
    prove(redis(), kill_and_start, 10)


# ---- The database is restarted, or killed. ----

def restart_engine(proof):
    if proof.random.random() < 0.03:
        engine = proof.cluster.engine
        proof.cluster.disturb(lambda: crash(engine) if proof.random.random() < 0.5 else engine.restart())


def crash(engine):
    engine.crash()
    engine.start()


def test_a_postgres_that_is_restarted_and_killed_loses_and_doubles_nothing():
    prove(postgres(), restart_engine, 3)


def test_a_redis_that_is_restarted_and_killed_loses_and_doubles_nothing():
    prove(redis(), restart_engine, 3)


# ---- The ways to it are cut, delayed and split; and servers are killed, too. ----

def test_cuts_between_servers_and_postgres_lose_and_double_nothing():
    prove(postgres(), kill_and_start, 5, mean=3 * CUT_MEAN)  # it says more for each message


def test_cuts_between_servers_and_redis_lose_and_double_nothing():
    prove(redis(), kill_and_start, 5, mean=CUT_MEAN)


# ---- Servers that are cut off by a cable that is pulled. ----

class CutOff:
    """Cuts one of them off now and then, for a moment, and once for so long that it is taken for dead; others go on."""

    def __init__(self, islands, loop_seconds):
        self.islands, self.seconds = islands, list(loop_seconds)

    def __call__(self, proof):
        if not self.seconds or proof.random.random() > 0.05:
            return
        island = proof.random.choice(self.islands)
        island.cut_off()
        proof.crowd.say(BURST)
        proof.loop.run_for(self.seconds.pop())
        island.connect()
        proof.cluster.faults += 1


def prove_cut_off(test, engine):
    if in_namespace(test, time_limit()):
        return
    seconds = (0.5, 16, 2, 6) if not is_long() else (0.5, 16, 2, 6) * 5
    with contextlib.ExitStack() as stack:
        islands = [Island(number) for number in range(3)]
        for island in islands:
            stack.callback(island.close)
        prove(engine(), CutOff(islands, seconds), len(seconds), mean=0, islands=islands)


def test_servers_that_are_cut_off_from_postgres_lose_and_double_nothing():
    prove_cut_off(test_servers_that_are_cut_off_from_postgres_lose_and_double_nothing, postgres)


def test_servers_that_are_cut_off_from_redis_lose_and_double_nothing():
    prove_cut_off(test_servers_that_are_cut_off_from_redis_lose_and_double_nothing, redis)


if __name__ == "__main__":
    main(time_limit())
