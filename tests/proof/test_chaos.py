"""
Proof: whatever happens to the connections, nothing is lost, nothing doubled, and the order is the same for all.

Strict clients (strict.py) talk in several rooms through a proxy (proxy.py) that cuts their connections after random numbers of
bytes, delays, and splits; half-dead connections and ghosts are among the cuts. The server is killed (kill -9) in between, too.

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

ROOMS = ("lobby", "tea", "milk tea", "coffee")
MEAN = 30000  # bytes from the server between cuts of one connection
PATIENCE = {"plain": 0.2, "asan": 0.8, "tsan": 2.0}.get(BUILD_KIND, 0.8)  # a connection that is half dead is left after a few
BURST = 20    # messages of each client at a time: they flow as long as there are cuts to come


class Chaos:
    """Clients through a proxy. 'messages' and 'cuts' are the least there shall be."""

    def __init__(self, phoenix, rng, messages, cuts):
        self.phoenix, self.random, self.messages, self.cuts = phoenix, rng, messages, cuts
        self.loop, self.ledger = Loop(), Ledger()
        self.proxy = Proxy(self.loop, phoenix.place, rng, MEAN)
        self.crowd = Crowd(self.loop, self.ledger, self.proxy.place, [f"talker{i}" for i in range(8)], rng, ROOMS,
                           patience=PATIENCE)
        # The place for other clients that keep the promises, such as tcpclient: they connect to proxy.place(), and what
        # they saw and said is held against self.ledger.

    def flow(self):
        """Messages in bursts until there were enough of them, and enough cuts."""
        while len(self.ledger.acknowledged) < self.messages or self.proxy.cuts < self.cuts:
            self.crowd.say(BURST)
            self.loop.run_for(0.001)
            self.loop.run_until(lambda: sum(t.quota + len(t.outbox) for t in self.crowd.talkers) < 4 * BURST, self.state,
                                2 * DEADLINE)
            yield

    def state(self):
        return (f"acknowledgements; {self.ledger.summary()}; {self.proxy.cuts} cuts;"
                f" {[(t.name, t._state, len(t.outbox)) for t in self.crowd.talkers]}")

    def settle(self):
        self.proxy.calm()
        ends = self.crowd.settle()
        self.crowd.close()
        audit(self.loop, self.ledger, self.phoenix.place, self.random, ROOMS, ends)
        self.proxy.close()
        print(f"{self.proxy.cuts} cuts {self.proxy.ends}, {self.proxy.connections} connections, {self.phoenix.kills} kills"
              f" of the server; {self.ledger.summary()}")


def amounts():
    return (10000, 1000) if is_long() else (scaled(2000), scaled(200))


def test_cuts_lose_and_double_nothing():
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-chaos-") as folder:
        path = os.path.join(folder, "chat.db")
        with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
            chaos = Chaos(phoenix, rng, *amounts())
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
            chaos = Chaos(phoenix, rng, *amounts())
            next_kill = 0
            for _ in chaos.flow():
                if chaos.proxy.cuts >= next_kill:
                    next_kill = chaos.proxy.cuts + rng.randint(5, 40)
                    phoenix.kill()
                    chaos.loop.run_for(rng.uniform(0, 0.2))
                    phoenix.start()
            chaos.settle()
            phoenix.stop()
        assert integrity(path) == "ok"


if __name__ == "__main__":
    main(time_limit())
