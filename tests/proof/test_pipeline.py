"""
Proof: kill -9 of the server, of RabbitMQ, of messageapi and of PostgreSQL, in turns and at random moments, under load, loses and doubles
nothing of what goes through the queue (--journal amqp://...).

Strict clients (strict.py) talk in several rooms. Afterwards the server's history is what they saw, messageapi gives the same, message by
message, and its FindAll the end of the lobby's.

In the short form 12 kills, in the long one (CHAT_PROOF=long) 120. The moments depend on CHAT_PROOF_SEED, which is printed.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))

from loop import Loop  # noqa: E402
from phoenix import Phoenix  # noqa: E402
from pipeline import Pipeline  # noqa: E402
from strict import Crowd, Ledger, audit, is_long, seed, time_limit  # noqa: E402
from talk import Server, main, wait_for  # noqa: E402

ROOMS = ("lobby", "tea", "milk tea")
SPOKEN_LEAST = 1000


def kill(victim, loop, rng, phoenix, pipeline):
    """Kills one, lets the others be without it for a while, and starts it again."""
    if victim == "server":
        phoenix.kill()
        loop.run_for(rng.uniform(0, 0.3))
        phoenix.start()
        return
    killed = {"rabbitmq": pipeline.rabbitmq, "messageapi": pipeline.messageapi, "postgres": pipeline.postgres}[victim]
    killed.crash()
    loop.run_for(rng.uniform(0, 2))
    killed.start()


def is_stored(pipeline, ends):
    """Whether messageapi has stored up to these numbers."""
    last = {room.name: room.last for room in pipeline.messageapi.ask("ListRooms").rooms}
    return all(last.get(room, 0) >= end for room, end in ends.items())


def compare(pipeline, ledger, ends):
    """What messageapi gives is what the clients saw: the same message under each number, each number once."""
    for room, end in ends.items():
        messages = pipeline.messageapi.messages(room)
        assert [message.seq for message in messages][:end] == list(range(1, end + 1)), room
        texts = [message.text for message in messages if message.kind == 0]
        assert len(texts) == len(set(texts)), f"something is twice in {room}"
    lobby = [(message.participant, message.text) for message in pipeline.messageapi.messages("lobby") if message.kind in (0, 1)]
    found = pipeline.messageapi.find_all()
    assert found and found == lobby[-len(found):]


def run(rounds):
    rng = random.Random(seed())
    loop, ledger = Loop(), Ledger()
    kills = {"server": 0, "rabbitmq": 0, "messageapi": 0, "postgres": 0}
    with Pipeline() as pipeline:
        make = lambda: Server("--message-api", pipeline.messageapi.address, "--journal-patience", "300",  # noqa: E731
                              journal=pipeline.journal)
        with Phoenix(make) as phoenix:
            crowd = Crowd(loop, ledger, phoenix.place, [f"talker{i}" for i in range(6)], rng, ROOMS, faulty=lambda: True)
            crowd.say(1 << 30)
            for turn in range(rounds):
                loop.run_for(rng.uniform(0.1, 1))
                victim = list(kills)[turn % len(kills)]
                kill(victim, loop, rng, phoenix, pipeline)
                kills[victim] += 1
            ends = crowd.settle()
            crowd.close()
            assert len(ledger.acknowledged) >= SPOKEN_LEAST, ledger.summary()
            audit(loop, ledger, phoenix.place, rng, ROOMS, ends)
            wait_for(lambda: is_stored(pipeline, ends), "messageapi has stored all")
            compare(pipeline, ledger, ends)
            phoenix.kill()
            phoenix.start()
            audit(loop, ledger, phoenix.place, rng, ROOMS, ends, name="second auditor")
            phoenix.stop()
    print(f"kills: {kills}; {ledger.summary()}; the slowest start took {max(phoenix.start_seconds) * 1000:.0f} ms")


def test_kill_9_of_any_part_loses_and_doubles_nothing():
    run(120 if is_long() else 12)


if __name__ == "__main__":
    main(time_limit())
