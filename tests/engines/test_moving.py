"""Moving from one journal to another, as docs/OPERATIONS.md says: what --export wrote, --import takes in."""

import json
import os
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "talk"))
import talk  # noqa: E402
from talk import Server, main, run_server  # noqa: E402


def what_is_kept(server):
    """Of each listed room all there is, as it comes through HTTP."""
    base = f"http://127.0.0.1:{server.port}/rooms"
    rooms = json.load(urllib.request.urlopen(base))["rooms"]
    return {room["name"]: (room["id"], room["topic"], json.load(urllib.request.urlopen(f"{base}/{room['id']}/messages?limit=1000"))["messages"])
            for room in rooms}


def make_journal(path):
    with Server(journal=f"sqlite:{path}") as server:
        ann, bob = server.join("ann"), server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        for number in range(300):
            ann.say(f"line {number} \N{SNOWMAN} 'quoted'")
            ann.expect(f"ann: line {number} \N{SNOWMAN} 'quoted'")
        for line in "/join tea", "/topic green or black?", "/me pours", "/quit":
            bob.say(line)
        ann.expect('User "bob" just left the chat (for another room)')
    with Server(journal=f"sqlite:{path}") as server:
        return what_is_kept(server)


def move_to(engine_of):
    try:
        engine = engine_of()
    except Exception as reason:  # each module has its own Skip
        if type(reason).__name__ != "Skip":
            raise
        talk.skip(str(reason))
    with engine, tempfile.TemporaryDirectory(prefix="tcpchat-move-") as folder:
        kept = make_journal(os.path.join(folder, "chat.db"))
        archive = os.path.join(folder, "all.jsonl")
        code, _, errors = run_server("--journal", f"sqlite:{folder}/chat.db", "--export", archive)
        assert code == 0, errors
        code, _, errors = run_server("--journal", engine.url, "--import", archive)
        assert code == 0, errors
        with Server(journal=engine.url) as server:
            assert what_is_kept(server) == kept
            carl = server.join("carl")
            carl.say("and it goes on")
            carl.expect("carl: and it goes on")
            last = what_is_kept(server)["lobby"][2]
        assert [event["seq"] for event in last] == list(range(1, len(last) + 1)), "the numbers have a hole"


def test_a_journal_moves_to_postgres():
    import postgres
    move_to(postgres.Postgres)


def test_a_journal_moves_to_redis():
    import redis
    move_to(redis.Redis)


if __name__ == "__main__":
    main()
