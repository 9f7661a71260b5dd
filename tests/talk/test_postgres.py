"""Servers that share a PostgreSQL: one talk, whichever of them one is connected to, and whatever happens to the database."""

import os
import re
import sys
import threading

from events import join_events
from talk import Server, Skip, main, pump, run_server, temporary_file, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "engines"))
import postgres  # noqa: E402

LINES = 200
WAITS = ("--journal-patience", "60")


def database(**options):
    try:
        return postgres.Postgres(**options)
    except postgres.Skip as reason:
        raise Skip(str(reason)) from None


def seen(client, texts):
    """The numbers and texts of the next messages, until all of 'texts' were among them."""
    missing = set(texts)
    result = []
    while missing:
        event = client.event()
        if event.get("kind") == "message" and event["room"] == "lobby":
            result.append((event["seq"], event["text"]))
            missing.discard(event["text"])
    return result


def test_two_servers_are_one_talk():
    with database() as base, Server(journal=base.url) as one, Server(journal=base.url) as two:
        ann = join_events(one, "ann")
        bob = join_events(two, "bob")
        texts = {}
        for client, name in ((ann, "ann"), (bob, "bob")):
            texts[name] = [f"{name} says {i}" for i in range(LINES)]
        talkers = [threading.Thread(target=lambda c=client, n=name: [c.say(text) for text in texts[n]])
                   for client, name in ((ann, "ann"), (bob, "bob"))]
        for talker in talkers:
            talker.start()
        for talker in talkers:
            talker.join()
        both = texts["ann"] + texts["bob"]
        at_one = seen(ann, both)
        at_two = seen(bob, both)
        assert at_one == at_two
        numbers = [seq for seq, _ in at_one]
        assert numbers == list(range(numbers[0], numbers[0] + 2 * LINES))
        for name in ("ann", "bob"):
            assert [text for _, text in at_one if text in set(texts[name])] == texts[name]
        assert base.psql("SELECT count(*), max(seq) - min(seq) + 1 FROM chat_room WHERE kind = 0") == f"{2 * LINES}|{2 * LINES}"
        assert base.psql("SELECT username, message FROM chat_room WHERE message = 'ann says 7'") == "ann|ann says 7"


def test_history_is_that_of_all():
    with database() as base, Server(journal=base.url) as one, Server(journal=base.url, history="10") as two:
        ann = one.join("ann")
        for i in range(3):
            ann.say(f"line {i}")
            ann.expect(f"ann: line {i}")
        bob = two.connect()
        bob.say("bob")
        lines = []
        while not lines or "line 2" not in lines[-1]:
            lines.append(bob.line())
        ann.expect('User "bob" just joined the chat!')
        assert [line[-6:] for line in lines[-3:]] == ["line 0", "line 1", "line 2"], lines


def test_who_comes_back_elsewhere_after_its_server_was_killed_misses_nothing():
    with database() as base, Server(journal=base.url) as two:
        with Server(journal=base.url) as one:
            ann = join_events(one, "ann")
            bob = join_events(two, "bob")
            ann.until(kind="joined", participant="bob")
            for i in range(20):
                ann.say(f"before {i}")
            last = ann.until(kind="message", text="before 19")[-1]
            one.process.kill()
            one.process.wait()
            one.checked = True
        bob.until(kind="message", text="before 19")
        bob.say("meanwhile")
        bob.until(kind="message", text="meanwhile")
        eve = join_events(two, "eve")
        eve.ask("join", room="lobby", after=last["seq"], id=5)
        bob.say("after")
        bob.until(kind="left", participant="ann")  # the others notice that its server is gone
        assert base.psql("SELECT count(*) FROM chat_room WHERE message LIKE 'before %'") == "20"
        assert base.psql("SELECT count(*) = max(seq) FROM chat_room") == "t"
        assert base.psql("SELECT count(*) FROM chat_room WHERE kind = 3 AND username = 'ann'") == "1"


def test_a_lost_notice_only_delays():
    with database() as base, Server(journal=base.url) as one, Server(journal=base.url) as two:
        ann = one.join("ann")
        bob = two.join("bob")
        ann.expect('User "bob" just joined the chat!')
        # The functions of this database say nothing any more.
        base.psql("DO $$ DECLARE f text; BEGIN SELECT replace(pg_get_functiondef('chat_append'::regproc), 'pg_notify(''chat_news''',"
                  " 'pg_notify(''elsewhere''') INTO f; EXECUTE f; END $$")
        for i in range(3):
            ann.say(f"unheard {i}")
            ann.expect(f"ann: unheard {i}")
            bob.expect(f"ann: unheard {i}")


def test_senders_wait_while_the_database_restarts():
    with database() as base, Server(*WAITS, journal=base.url) as one, Server(*WAITS, journal=base.url) as two:
        ann = one.join("ann")
        bob = two.join("bob")
        ann.expect('User "bob" just joined the chat!')
        base.crash()
        ann.say("said while it was away")
        bob.say("and this")
        base.start()
        said = {"ann: said while it was away", "bob: and this"}
        assert {ann.line(), ann.line()} == said
        assert {bob.line(), bob.line()} == said
        ann.say("on it goes")
        ann.expect("ann: on it goes")
        bob.expect("ann: on it goes")
        assert base.psql("SELECT count(*) = max(seq) FROM chat_room") == "t"


def test_without_patience_what_cannot_be_kept_is_refused():
    with database() as base, Server("--journal-patience", "0", journal=base.url) as server:
        ann = server.join("ann")
        base.stop()
        refused = re.compile("! not-stored: .*")

        def is_refused():
            ann.say("into the void")
            return refused.fullmatch(ann.line())

        assert is_refused()
        base.start()

        def is_kept():
            ann.say("again")
            return ann.line() == "ann: again"

        wait_for(is_kept, "the server has found its database again")
        assert base.psql("SELECT count(*) FROM chat_room WHERE message = 'into the void'") == "0"


def test_nothing_that_was_acknowledged_is_lost_when_the_database_is_killed_again_and_again():
    with database() as base, Server(*WAITS, journal=base.url) as one, Server(*WAITS, journal=base.url) as two:
        clients = [one.join("ann"), two.join("bob")]
        clients[0].expect('User "bob" just joined the chat!')
        for round_number in range(3):
            for client, name in zip(clients, ("ann", "bob")):
                client.outgoing = b"".join(b"%s %d %d\n" % (name.encode(), round_number, i) for i in range(LINES))
            killer = threading.Thread(target=lambda: (base.crash(), base.start()))
            killer.start()
            # Each sees all lines of both.
            pump(clients, lambda client: client.buffer.count(b"\n") >= 2 * LINES)
            killer.join()
            assert clients[0].buffer == clients[1].buffer
            lines = clients[0].buffer.decode().splitlines()
            for name in ("ann", "bob"):
                mine = [line for line in lines if line.startswith(f"{name}: ")]
                assert mine == [f"{name}: {name} {round_number} {i}" for i in range(LINES)], mine[:5]
            kept = base.psql(f"SELECT username || ': ' || message FROM chat_room WHERE message LIKE '% {round_number} %' ORDER BY seq")
            assert kept.splitlines() == lines
            for client in clients:
                client.buffer.clear()
        assert base.psql("SELECT count(*) = max(seq) FROM chat_room") == "t"


def test_a_standby_takes_over_and_nothing_that_was_seen_is_lost():
    with database() as base, base.standby() as other:
        url = f"postgres://chat:secret@127.0.0.1:{base.port},127.0.0.1:{other.port}/chat"
        with Server(*WAITS, journal=url) as one, Server(*WAITS, journal=url) as two:
            clients = [one.join("ann"), two.join("bob")]
            clients[0].expect('User "bob" just joined the chat!')
            for client, name in zip(clients, ("ann", "bob")):
                client.outgoing = b"".join(b"%s %d\n" % (name.encode(), i) for i in range(LINES))
            killer = threading.Thread(target=lambda: (base.crash(), other.promote()))
            killer.start()
            pump(clients, lambda client: client.buffer.count(b"\n") >= 2 * LINES)
            killer.join()
            assert clients[0].buffer == clients[1].buffer
            lines = clients[0].buffer.decode().splitlines()
            for name in ("ann", "bob"):
                assert [line for line in lines if line.startswith(f"{name}: ")] == [f"{name}: {name} {i}" for i in range(LINES)]
            kept = other.psql("SELECT username || ': ' || message FROM chat_room WHERE kind = 0 ORDER BY seq")
            assert kept.splitlines() == lines
            assert other.psql("SELECT count(*) = max(seq) FROM chat_room") == "t"


def test_a_database_that_is_away_at_the_start_is_waited_for():
    with database(start=False) as base:
        starter = threading.Timer(2, base.start)
        starter.start()
        try:
            with Server(*WAITS, journal=f"postgres://chat:secret@127.0.0.1:{base.port}/postgres") as server:
                ann = server.join("ann")
                ann.say("hello")
                ann.expect("ann: hello")
        finally:
            starter.join()


# All rooms of all servers stood still for it.
def test_a_row_that_cannot_be_holds_nobody_up():
    with database() as base, Server(journal=base.url) as one, Server(journal=base.url) as two:
        ann, bob = one.join("ann"), two.join("bob")
        ann.expect('User "bob" just joined the chat!')
        base.psql("BEGIN; INSERT INTO chat_room(room, seq, at, number, sent_at, kind, client, username, message)"
                  " SELECT number, last + 1, 1, 1, now(), 8, '\\x0102030405060708090a0b0c0d0e0f10', 'eve', 'hm' FROM chat_rooms WHERE key = 'lobby';"
                  " UPDATE chat_rooms SET last = last + 1 WHERE key = 'lobby'; COMMIT")
        bob.say("hello")
        for client in (ann, bob):
            client.expect("bob: hello")
        two.log.wait("journal-unreadable")


# The server did not beat until all were written, and was taken for dead.
def test_one_who_sets_marks_without_end_harms_nobody():
    with database() as base, Server(journal=base.url) as one, Server(journal=base.url) as two:
        ann, bob, carl = one.join("ann"), one.join("bob"), two.join("carl")
        ann.expect('User "bob" just joined the chat!', 'User "carl" just joined the chat!')
        ann.outgoing = b"".join(b"/mark %d\n" % (1 + number % 3) for number in range(30000))
        pump([ann], lambda client: not client.outgoing)
        bob.say("can you hear me?")
        carl.expect("bob: can you hear me?")
        assert base.psql("SELECT count(*) FROM chat_servers WHERE dead OR beat < now() - interval '10 seconds'") == "0"


def test_the_password_comes_from_a_file_that_only_the_server_may_read():
    with database() as base, temporary_file("secret\n") as path:
        url = base.url.replace(":secret@", "@")
        with Server("--journal-password-file", path, journal=url) as server:
            ann = server.join("ann")
            ann.say("hello")
            ann.expect("ann: hello")
        os.chmod(path, 0o644)
        code, _, errors = run_server("--listen", "127.0.0.1:0", "--journal", url, "--journal-password-file", path)
        assert code == 1 and "--journal-password-file" in errors and "chmod 600" in errors, errors
        with temporary_file("wrong\n") as other:
            code, _, errors = run_server("--listen", "127.0.0.1:0", "--journal", url, "--journal-password-file", other,
                                         "--journal-patience", "0")
            assert code == 1 and "password" in errors and "wrong" not in errors.replace("wrong password", ""), errors


def test_no_password_is_told_or_seen():
    with database() as base:
        with Server(journal=base.url) as server:
            server.join("ann")
            base.crash()
            server.log.wait("journal")
            base.start()
            log = server.log.text()
        assert "secret" not in log, log
    password = "another-word"
    code, output, errors = run_server("--journal", f"postgres://chat:{password}@127.0.0.1:1/chat", "--listen", "127.0.0.1:0",
                                      "--journal-patience", "0")
    assert code != 0 and password not in output + errors, (code, output, errors)


if __name__ == "__main__":
    main()
