"""Clients that know themselves by an id come, come back and go, in any order."""

import json
import random
import tempfile
import time

from talk import BUILD_KIND, Server, main, pump

FIRST = {"op": "session", "after": 0}


def come(server, name, number):
    client = server.connect()
    client.say(json.dumps(dict(FIRST, session="%032x" % number, name=name)))
    welcome = json.loads(client.line())
    assert (welcome["kind"], welcome["participant"]) == ("welcome", name), welcome
    client.say('{"op":"ping","id":"here"}')
    while json.loads(client.line()).get("id") != "here":
        pass
    return client


def test_clients_with_ids_come_and_go_in_any_order():
    """The list of ids once pointed to where the command had read the id, a piece of stack: the server fell over its own tree."""
    rng = random.Random(1)
    with Server() as server:
        numbers = [rng.getrandbits(128) for _ in range(24)]
        for _ in range(3):
            clients = {number: come(server, f"guest{i}", number) for i, number in enumerate(numbers)}
            for i, number in enumerate(numbers):
                if i % 3 == 0:  # in place of the older connection
                    clients[number] = come(server, f"guest{i}", number)
                elif i % 3 == 1:  # another id from now on
                    clients[number].say(json.dumps({"op": "session", "session": "%032x" % rng.getrandbits(128)}))
            for number in rng.sample(numbers, len(numbers)):
                clients[number].close()
            last = server.connect()
            last.say("last")
            last.expect_welcome("last")
            while True:  # the others' going takes a moment
                last.say("/who")
                line = last.line()
                while not line.startswith("* "):
                    line = last.line()
                if line == "* 1 here: last":
                    break
            last.close()
        server.assert_lives()


def test_many_come_back_to_a_room_at_once():
    """After a restart each of them wanted to open it; those who lost the race waited seconds until the winner's was closed."""
    with tempfile.TemporaryDirectory(prefix="tcpchat-ids-") as folder:
        for _ in range(8):
            with Server(journal=f"sqlite:{folder}/chat.db") as server:
                clients = []
                for i in range(24):
                    client = server.connect()
                    clients.append(client)
                    client.outgoing = b"".join(json.dumps(request).encode() + b"\n" for request in (
                        dict(FIRST, session="%032x" % i, name=f"guest{i}"), {"op": "join", "room": "tea", "history": "none"},
                        {"op": "send", "room": "tea", "text": "kept"}, {"op": "ping", "text": "here"}))
                begin = time.monotonic()
                pump(clients, lambda client: b'"kind":"pong"' in client.buffer)
                took = time.monotonic() - begin
                assert took < (3 if BUILD_KIND == "plain" else 4.5), f"it took {took:.1f} s"


if __name__ == "__main__":
    main()
