"""
Proof: kill -9 of the server at random moments, under load, loses and doubles nothing.

Strict clients (strict.py) talk in several rooms; the server is killed and started with the same file, again and again. They
come back by themselves. Every message that was acknowledged, or seen by anybody, is there afterwards, once, with the number
that it had. Some servers are killed while they still start, too.

In the short form 40 kills, in the long one (CHAT_PROOF=long) 400. The moments depend on CHAT_PROOF_SEED, which is printed.
"""

import os
import random
import tempfile

from loop import Loop
from phoenix import Phoenix, integrity, kill_while_starting
from strict import Crowd, Ledger, audit, is_long, seed, time_limit
from talk import Server, main, scaled

ROOMS = ("lobby", "tea", "milk tea")


def run(rounds, journal_options=()):
    rng = random.Random(seed())
    loop, ledger = Loop(), Ledger()
    with tempfile.TemporaryDirectory(prefix="tcpchat-kill-") as folder:
        path = os.path.join(folder, "chat.db")
        with Phoenix(lambda: Server(*journal_options, journal=f"sqlite:{path}")) as phoenix:
            crowd = Crowd(loop, ledger, phoenix.place, [f"talker{i}" for i in range(8)], rng, ROOMS)
            crowd.say(1 << 30)
            starts_killed = 0
            for _ in range(rounds):
                loop.run_for(rng.uniform(0.02, 0.6))
                phoenix.kill()
                if rng.random() < 0.2:
                    kill_while_starting(rng.uniform(0, 0.05), "--journal", f"sqlite:{path}", *journal_options)
                    starts_killed += 1
                phoenix.start()
            ends = crowd.settle()
            crowd.close()
            audit(loop, ledger, phoenix.place, rng, ROOMS, ends)
            phoenix.kill()
            found = integrity(path)
            assert found == "ok", found
            phoenix.start()
            audit(loop, ledger, phoenix.place, rng, ROOMS, ends, name="second auditor")
            phoenix.stop()
        assert integrity(path) == "ok"
    connections = sum(talker.connections for talker in crowd.talkers)
    print(f"{phoenix.kills} kills, and {starts_killed} while starting; {connections} connections; {ledger.summary()};"
          f" the slowest start took {max(phoenix.start_seconds) * 1000:.0f} ms")


def test_kill_9_loses_and_doubles_nothing():
    run(400 if is_long() else max(5, scaled(40)))


if __name__ == "__main__":
    main(time_limit())
