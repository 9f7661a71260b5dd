"""
Proof: whatever happens to the connections, nothing is lost, nothing doubled, and the order is the same for all.

Strict clients (strict.py) talk in several rooms through a proxy (proxy.py) that cuts their connections after random numbers of
bytes, delays, and splits; half-dead connections and ghosts are among the cuts. So do tcpclients (typist.py), which have to come back
by themselves. The server is killed (kill -9) in between, too.

In the short form at least 2,000 messages and 200 cuts; with CHAT_PROOF=long 10,000 messages and 1,000 cuts. The random numbers
come from CHAT_PROOF_SEED, which is printed; what the kernel makes of the same bytes and times is not repeated by it.
"""

import os
import random
import tempfile

from loop import Loop
from phoenix import Phoenix, integrity
from proxy import Proxy
from strict import Crowd, Ledger, audit, is_long, seed, time_limit
from talk import BUILD_KIND, DEADLINE, Server, main, scaled
from typist import Pool

ROOMS = ("lobby", "tea", "milk tea", "coffee")
MEAN = 30000  # bytes from the server between cuts of one connection
PATIENCE = {"plain": 0.2, "asan": 0.8, "tsan": 2.0}.get(BUILD_KIND, 0.8)  # a connection that is half dead is left after a few
# A tcpclient comes back after half a second at the earliest, and asks a silent server after 20 s whether it lives.
TYPISTS_MEAN = 60000
TYPISTS_SHARE = 10        # at least one in so many cuts and messages is theirs
TYPISTS_HALF_SECONDS = 1  # then a connection of theirs that is half dead ends
BURST = 20    # messages of each client at a time: they flow as long as there are cuts to come


class Chaos:
    """Clients through a proxy. 'messages' and 'cuts' are the least there shall be."""

    def __init__(self, phoenix, folder, rng, messages, cuts):
        self.phoenix, self.random, self.messages, self.at_least = phoenix, rng, messages, cuts
        self.loop, self.ledger = Loop(), Ledger()
        self.proxy = Proxy(self.loop, phoenix.place, rng, MEAN)
        self.typists_proxy = Proxy(self.loop, phoenix.place, rng, 0, half_seconds=TYPISTS_HALF_SECONDS)
        self.pool = Pool(self.loop, self.ledger, self.typists_proxy.place(), folder, rng, ROOMS, DEADLINE)
        self.typists_proxy.rouse(TYPISTS_MEAN)
        self.crowd = Crowd(self.loop, self.ledger, self.proxy.place, [f"talker{i}" for i in range(8)], rng, ROOMS,
                           patience=PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.pool.kill()

    @property
    def cuts(self):
        return self.proxy.cuts + self.typists_proxy.cuts

    def has_enough(self):
        typed = sum(typist.said for typist in self.pool.typists)
        return (len(self.ledger.acknowledged) >= self.messages and self.cuts >= self.at_least
                and typed >= self.messages // TYPISTS_SHARE and self.typists_proxy.cuts >= self.at_least // TYPISTS_SHARE)

    def flow(self):
        """Messages in bursts until there were enough of them, and enough cuts."""
        while not self.has_enough():
            self.crowd.say(BURST)
            self.pool.say(BURST)
            self.loop.run_for(0.001)
            self.loop.run_until(lambda: sum(t.quota + len(t.outbox) for t in self.crowd.talkers) < 4 * BURST, self.state,
                                2 * DEADLINE)
            yield

    def state(self):
        return (f"acknowledgements; {self.ledger.summary()}; {self.cuts} cuts;"
                f" {[(t.name, t._state, len(t.outbox)) for t in self.crowd.talkers]}; {self.pool.state()}")

    def settle(self):
        for proxy in (self.proxy, self.typists_proxy):
            proxy.calm()
        self.pool.rest(2 * DEADLINE)
        ends = self.crowd.settle()
        self.pool.finish(ends, 2 * DEADLINE)
        self.crowd.close()
        audit(self.loop, self.ledger, self.phoenix.place, self.random, ROOMS, ends)
        self.pool.check()
        for who, proxy in (("talkers", self.proxy), ("tcpclients", self.typists_proxy)):
            proxy.close()
            print(f"{who}: {proxy.cuts} cuts {proxy.ends}, {proxy.connections} connections")
        print(f"{self.phoenix.kills} kills of the server; {self.ledger.summary()}; {self.pool.state()}")


def amounts():
    return (10000, 1000) if is_long() else (scaled(2000), scaled(200))


def test_cuts_lose_and_double_nothing():
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-chaos-") as folder:
        path = os.path.join(folder, "chat.db")
        with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
            with Chaos(phoenix, folder, rng, *amounts()) as chaos:
                for _ in chaos.flow():
                    pass
                chaos.settle()
            phoenix.stop()
        assert integrity(path) == "ok"


def test_cuts_and_kills_lose_and_double_nothing():
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-chaos-") as folder:
        path = os.path.join(folder, "chat.db")
        with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
            with Chaos(phoenix, folder, rng, *amounts()) as chaos:
                next_kill = 0
                for _ in chaos.flow():
                    if chaos.cuts >= next_kill:
                        next_kill = chaos.cuts + rng.randint(5, 40)
                        phoenix.kill()
                        chaos.loop.run_for(rng.uniform(0, 0.2))
                        phoenix.start()
                chaos.settle()
            phoenix.stop()
        assert integrity(path) == "ok"


if __name__ == "__main__":
    main(time_limit())
