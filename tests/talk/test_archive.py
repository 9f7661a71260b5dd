"""What a server kept is written out as JSON lines, taken in by another journal, checked, and salvaged."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile

from events import parse_event
from talk import DEADLINE, Server, clean_environment, main, program, run_server, skip


class Kept:
    """A journal in which two people have talked in two rooms."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.file("chat.db")
        with Server(journal="sqlite:" + self.path) as server:
            ann = server.join("ann")
            bob = server.join("bob")
            ann.say("good morning")
            bob.expect("ann: good morning")
            bob.say("/join tea")
            bob.expect(re.compile(r"\* You are in tea, .*"))
            bob.say("/topic green, or black?")
            bob.say("schwarz — 紅茶")
            bob.expect('User "bob" set the topic: green, or black?', "bob: schwarz — 紅茶")

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def run(self, *arguments, journal=None):
        return run_server("--journal", "sqlite:" + (journal or self.path), *arguments)


def test_what_is_kept_is_exported_as_events():
    with Kept() as kept:
        code, output, errors = kept.run("--export", "-")
        assert code == 0, errors
        lines = output.splitlines()
        rooms = [json.loads(line)["name"] for line in lines if '"kind":"room"' in line]
        assert sorted(rooms) == ["lobby", "tea"]
        events = [parse_event(line) for line in lines if '"kind":"room"' not in line]

        assert ("bob", "schwarz — 紅茶") in [(event["participant"], event.get("text")) for event in events]


def test_one_room_is_exported():
    with Kept() as kept:
        code, output, errors = kept.run("--export", "-", "--room", "Tea")
        assert code == 0, errors
        assert {json.loads(line)["room"] for line in output.splitlines()} == {"tea"}
        code, output, errors = kept.run("--export", "-", "--room", "coffee")
        assert code == 1 and "coffee" in errors and not output, errors


def test_what_was_exported_imported_and_exported_is_the_same():
    with Kept() as kept:
        first, second, copy = kept.file("first"), kept.file("second"), kept.file("copy.db")
        assert kept.run("--export", first)[0] == 0
        assert os.stat(first).st_mode & 0o777 == 0o600
        assert kept.run("--import", first, journal=copy)[0] == 0
        assert kept.run("--export", second, journal=copy)[0] == 0
        with open(first, "rb") as one, open(second, "rb") as other:
            assert one.read() == other.read()
        with Server(journal="sqlite:" + copy, history="all") as server:
            carol = server.connect()
            carol.say("carol")
            carol.expect_welcome("carol")
            carol.expect(re.compile(r"\[\d{4}-.*Z\] ann: good morning"))


def test_a_file_that_is_there_is_not_overwritten():
    with Kept() as kept:
        with open(kept.file("mine"), "w", encoding="utf-8") as file:
            file.write("precious")
        code, _, errors = kept.run("--export", kept.file("mine"))
        assert code == 1 and "mine" in errors, errors
        with open(kept.file("mine"), encoding="utf-8") as file:
            assert file.read() == "precious"


def test_a_wrong_line_is_named_and_nothing_is_taken_in():
    with Kept() as kept:
        _, output, _ = kept.run("--export", "-")
        with open(kept.file("bad"), "w", encoding="utf-8") as file:
            file.write(output + '{"seq":"x"}\n')
        before = sorted(os.listdir(kept.folder.name))
        code, _, errors = kept.run("--import", kept.file("bad"), journal=kept.file("new.db"))
        assert code == 1 and "bad" in errors and str(len(output.splitlines()) + 1) in errors, errors
        assert "new.db" in errors and sorted(os.listdir(kept.folder.name)) == before, errors
        with open(kept.file("new.db"), "w", encoding="utf-8"):
            pass  # an empty file that was there stays, now a journal without anything
        code, _, errors = kept.run("--import", kept.file("bad"), journal=kept.file("new.db"))
        assert code == 1 and "removed" not in errors, errors
        code, output, errors = kept.run("--export", "-", journal=kept.file("new.db"))
        assert code == 0 and not output, output + errors


def test_a_journal_in_use_is_exported_and_not_imported_into():
    with Kept() as kept, Server(journal="sqlite:" + kept.path):
        code, output, errors = kept.run("--export", "-")
        assert code == 0 and "good morning" in output, errors
        with open(kept.file("lines"), "w", encoding="utf-8") as file:
            file.write(output)
        code, _, errors = kept.run("--import", kept.file("lines"))
        assert code == 1 and "another server uses it" in errors, errors


def test_the_memory_journal_has_nothing_to_export():
    code, _, errors = run_server("--journal", "memory", "--export", "-")
    assert code == 2 and "sqlite" in errors, errors
    code, _, errors = run_server("--journal", "memory", "--import", "-")
    assert code == 2 and "sqlite" in errors, errors


def test_a_whole_journal_is_found_whole():
    with Kept() as kept:
        code, output, errors = run_server("--check", kept.path)
        assert code == 0 and "no damage" in output, output + errors
        code, output, errors = run_server("--check", kept.file("nowhere.db"))
        assert code == 1 and "nowhere.db" in output + errors, output + errors


def as_nobody(*arguments):
    """Runs the server's tool as somebody who may write nothing of ours."""
    if os.geteuid() != 0:
        skip("to be somebody else needs root")
    done = subprocess.run([program("TCPSERVER"), *arguments], env=clean_environment(), cwd="/", stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=DEADLINE, user=65534, group=65534, extra_groups=[])
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_journal_that_is_read_only_is_checked_and_exported_and_nothing_is_left_behind():
    with Kept() as kept:
        odd = kept.file("with ? and % and #.db")
        os.rename(kept.path, odd)
        files = os.listdir(kept.folder.name)
        for path in (odd, os.path.relpath(odd, "/")):
            os.chmod(odd, 0o444)
            os.chmod(kept.folder.name, 0o555)
            code, output, errors = as_nobody("--check", path)
            assert code == 0 and "no damage" in output, output + errors
            code, output, errors = as_nobody("--journal", "sqlite:" + path, "--export", "-")
            assert code == 0 and "good morning" in output, errors
            os.chmod(kept.folder.name, 0o755)
            code, output, errors = run_server("--check", odd)
            assert code == 0 and os.listdir(kept.folder.name) == files, os.listdir(kept.folder.name)


def test_what_a_killed_server_left_in_its_log_is_checked_and_exported():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chat.db")
        with Server(journal="sqlite:" + path) as server:
            ann = server.join("ann")
            ann.say("in the log")
            ann.expect("ann: in the log")
            server.send_signal(signal.SIGKILL)
            server.ended()
        os.remove(path + "-shm")
        files = sorted(os.listdir(folder))
        assert files == ["chat.db", "chat.db-wal"], files
        for _ in range(2):
            code, output, errors = run_server("--check", path)
            assert code == 0 and "no damage" in output and "1 room, 2 messages" in output, output + errors
            code, output, errors = run_server("--journal", "sqlite:" + path, "--export", "-")
            assert code == 0 and "in the log" in output, errors
            assert sorted(os.listdir(folder)) == files, os.listdir(folder)
        os.chmod(folder, 0o555)
        os.chmod(path, 0o444)
        os.chmod(path + "-wal", 0o444)
        code, output, errors = as_nobody("--check", path)
        assert code == 1 and "-wal" in output and "copy" in output, output + errors


def test_a_damaged_journal_is_refused_checked_and_salvaged():
    with Kept() as kept:
        damaged, saved = kept.file("damaged.db"), kept.file("saved.db")
        with sqlite3.connect(kept.path) as source, sqlite3.connect(damaged) as copy:
            source.backup(copy)
        with open(damaged, "r+b") as file:
            file.seek(100)
            file.write(b"\0" * 200)  # the tree of tables
        code, _, errors = kept.run(journal=damaged)
        assert code == 1 and damaged in errors and "--check" in errors and "--salvage" in errors, errors
        code, output, _ = run_server("--check", damaged)
        assert code == 1 and damaged in output, output
        code, output, errors = run_server("--salvage", damaged, saved)
        assert code in (0, 2), output + errors
        _, output, _ = kept.run("--export", "-", journal=saved)
        assert "schwarz — 紅茶" in output and "good morning" in output, output


def test_salvage_needs_two_files():
    code, _, errors = run_server("--salvage", "chat.db")
    assert code == 2 and "two files" in errors, errors


if __name__ == "__main__":
    main()
