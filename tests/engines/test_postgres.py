"""PostgreSQL as an engine: the contract, and what is PostgreSQL's own."""

import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "talk"))
import talk  # noqa: E402

from postgres import Postgres, Skip, run_with  # noqa: E402


def database(**options):
    try:
        return Postgres(**options)
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


def contract(*sentences, url=None, environment=None):
    """Runs sentences of the contract. Returns status and what was printed."""
    settings = {**os.environ, **(environment or {})}
    if url is not None:
        settings["TEST_ENGINE_URL"] = url
    done = subprocess.run([talk.program("ENGINE_CONTRACT"), *sentences], env=settings, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def test_the_contract_is_kept():
    try:
        assert run_with([talk.program("ENGINE_CONTRACT")]) == 0
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


def test_journals_on_it_keep_theirs():
    try:
        assert run_with([talk.program("JOURNAL_CONTRACT")]) == 0
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


ONE_SENTENCE = "a_room_is_made_once_and_found_by_all"


def test_servers_that_start_at_once_make_one_schema():
    with database() as base:
        command = [talk.program("ENGINE_CONTRACT"), ONE_SENTENCE]
        starters = [subprocess.Popen(command, env={**os.environ, "TEST_ENGINE_URL": base.url}) for _ in range(6)]
        assert [starter.wait() for starter in starters] == [0] * 6
        assert base.psql("SELECT count(*) FROM chat_schema") == base.psql("SELECT max(version) FROM chat_schema")


def test_a_newer_schema_is_refused_with_words():
    with database() as base:
        assert contract(ONE_SENTENCE, url=base.url)[0] == 0
        base.psql("INSERT INTO chat_schema(version) VALUES(999)")
        code, words = contract(ONE_SENTENCE, url=base.url)
        assert code == 1 and "a newer tcpserver has made the tables of this database (version 999" in words, words


def test_a_database_that_is_not_in_utf8_is_refused_with_words():
    with database() as base:
        base.psql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        code, words = contract(ONE_SENTENCE, url=base.url[:-len("chat")] + "latin")
        assert code == 1 and "the encoding of the database is LATIN1, and has to be UTF8" in words, words


def test_another_schema_is_chosen_by_the_url():
    with database() as base:
        base.psql("CREATE SCHEMA talk")
        code, words = contract(ONE_SENTENCE, url=base.url + "?options=-csearch_path%3Dtalk")
        assert code == 0, words
        assert base.psql("SELECT count(*) FROM talk.chat_rooms") == "1"
        assert base.psql("SELECT to_regclass('public.chat_rooms') IS NULL") == "t"


def test_go_chat_s_table_is_kept_and_its_query_works():
    with database() as base:
        base.psql("CREATE TABLE chat_room(id serial PRIMARY KEY, username varchar(50), message varchar(512), sent_at time DEFAULT now());"
                  "INSERT INTO chat_room(username, message) VALUES('old', 'hello')")
        code, words = contract("what_is_kept_is_fetched_by_another", url=base.url)
        assert code == 0, words
        assert base.psql("SELECT username, message FROM chat_room_before") == "old|hello"
        assert base.psql("select username, message from chat_room where kind = 0") == "bob|first"


def test_only_a_server_that_may_be_written_to_is_used():
    with database() as base, database() as other:
        base.psql("ALTER DATABASE chat SET default_transaction_read_only = on")
        code, words = contract(ONE_SENTENCE, url=base.url)
        assert code == 1 and "read-only" in words and "secret" not in words, words
        hosts = f"127.0.0.1:1,127.0.0.1:{base.port},127.0.0.1:{other.port}"
        code, words = contract(ONE_SENTENCE, url=f"postgres://chat:secret@{hosts}/chat")
        assert code == 0, words
        assert other.psql("SELECT count(*) FROM chat_rooms") == "1"


def test_a_wrong_password_is_not_told():
    with database() as base:
        code, words = contract(ONE_SENTENCE, url=base.url.replace("secret", "s3cr3t-thing"))
        assert code == 1 and "password authentication failed" in words and "s3cr3t" not in words, words
        code, words = contract(ONE_SENTENCE, url="postgres://chat:s3cr3t-thing@[::1/chat")
        assert code == 1 and "libpq does not understand this URL" in words and "s3cr3t" not in words, words


def test_the_password_may_be_where_libpq_looks():
    with database() as base:
        code, words = contract(ONE_SENTENCE, url=base.url.replace(":secret", ""), environment={"PGPASSWORD": "secret"})
        assert code == 0, words


def test_tls_is_spoken_where_the_url_asks_for_it():
    with database() as base:
        code, words = contract(ONE_SENTENCE, url=base.url + "?sslmode=require")
        assert code == 1 and "SSL" in words, words
        key, certificate = (os.path.join(base.folder, "data", name) for name in ("server.key", "server.crt"))
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                               "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                              capture_output=True, check=False)
        if done.returncode != 0:
            talk.skip("there is no openssl")
        base.adopt(key, certificate)
        base.psql("ALTER SYSTEM SET ssl = on")
        base.restart()
        code, words = contract(ONE_SENTENCE, url=f"{base.url}?sslmode=verify-full&sslrootcert={certificate}")
        assert code == 0, words


def test_rows_that_cannot_be_are_errors():
    changes = ["UPDATE chat_room SET kind = 99", "UPDATE chat_room SET kind = -1", "UPDATE chat_room SET seq = -seq",
               "UPDATE chat_room SET username = repeat('x', 5000)", "UPDATE chat_room SET message = E'\\x1b[2J'",
               "UPDATE chat_room SET message = repeat('x', 3000000)", "UPDATE chat_rooms SET topic = repeat('x', 5000)",
               "UPDATE chat_rooms SET name = E'a\\nb'", "UPDATE chat_rooms SET last = -7", "UPDATE chat_rooms SET capacity = -1"]
    with database() as base:
        with talk.Server(journal=base.url) as server:
            ann = server.join("ann")
            for i in range(3):
                ann.say(f"line {i}")
                ann.expect(f"ann: line {i}")
        dump = "CREATE TABLE saved_room AS SELECT * FROM chat_room; CREATE TABLE saved_rooms AS SELECT * FROM chat_rooms"
        base.psql(dump)
        for change in changes:
            base.psql("TRUNCATE chat_room; INSERT INTO chat_room SELECT * FROM saved_room")
            with talk.Server(journal=base.url, history="5") as server:
                base.psql(change)
                bob = server.connect()
                bob.say("bob")
                bob.say("/rooms")
                bob.say("/search line")
                bob.say("/ping")
                line = bob.line()
                while "pong" not in line.lower():
                    assert "\x1b" not in line
                    line = bob.line()
                server.assert_lives()
            base.psql("DELETE FROM chat_rooms; INSERT INTO chat_rooms OVERRIDING SYSTEM VALUE SELECT * FROM saved_rooms")


def test_what_was_forgotten_leaves_the_tables():
    with database() as base, talk.Server(journal=base.url) as server:
        ann = server.join("ann")
        for line in ("/join tea", "something", "/delete-room tea"):
            ann.say(line)
        talk.wait_for(lambda: base.psql("SELECT count(*) FROM chat_rooms WHERE name = 'tea' AND forgotten IS NOT NULL") == "1",
                      "the room is forgotten")
        assert base.psql("SELECT count(*) FROM chat_room WHERE message = 'something'") == "1"  # others may still look at it
        base.psql("UPDATE chat_rooms SET forgotten = forgotten - interval '1 hour' WHERE forgotten IS NOT NULL")
        talk.wait_for(lambda: base.psql("SELECT count(*) FROM chat_room WHERE message = 'something'") == "0", "its rows are gone")
        talk.wait_for(lambda: base.psql("SELECT count(*) FROM chat_rooms WHERE name = 'tea'") == "0", "the room is gone, too")


def test_a_database_that_says_nothing_any_more_is_given_up():
    with database() as base, talk.Server("--journal-patience", "1", journal=base.url) as server:
        ann = server.join("ann")
        pids = base.processes()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            ann.say("is anybody there?")
            server.log.wait("journal.*(does not answer|timeout|lost)", seconds=60)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        # Whether it was kept is found out, and its sender is told the truth.
        told = ann.line()
        kept = base.psql("SELECT count(*) FROM chat_room WHERE message = 'is anybody there?'")
        assert (told == "ann: is anybody there?") == (kept == "1"), (told, kept)
        ann.say("again")
        ann.expect("ann: again")


if __name__ == "__main__":
    talk.main(600)
