"""
Proof: whatever the disk does, a message that is refused is seen by nobody, now or later; one that was acknowledged or seen
stays; the server stays up, and works again within 2 s when the disk does.

Strict clients talk while the disk is full, cannot be written, cannot be synced, is read-only, or fails now and then (disk.c).
Half of them give up what is refused, half send it again. In the second test the server is killed (kill -9) while the disk
fails, and started when it works again; in the others a real file system is full, for which root is needed.

CHAT_PROOF=long repeats each kind of fault ten times. CHAT_PROOF_SEED chooses the moments.
"""

import errno
import os
import random
import tempfile
import time

from disk import Disk
from loop import Loop
from mounts import become_private, ext4, make_ext4, tmpfs
from phoenix import Phoenix, integrity
from strict import Crowd, Ledger, audit, is_long, seed, time_limit
from talk import BUILD_KIND, DEADLINE, Server, main

ROOMS = ("lobby", "tea")
KINDS = {
    "full": {"grow_errno": errno.ENOSPC},
    "full, in the middle of a write": {"grow_errno": errno.ENOSPC, "cut_writes": 1},
    "no write": {"write_errno": errno.EIO},
    "each seventh write fails": {"write_errno": errno.EIO, "write_each": 7},
    "each third write is cut short": {"write_errno": errno.EIO, "write_each": 3, "cut_writes": 1},
    "no sync": {"sync_errno": errno.EIO},
    "read-only": {"write_errno": errno.EROFS, "open_errno": errno.EROFS},
    "nothing works": {"write_errno": errno.EIO, "sync_errno": errno.EIO, "read_errno": errno.EIO, "open_errno": errno.EIO},
    "each fifth read fails": {"read_errno": errno.EIO, "read_each": 5},
}
WITHOUT_REFUSALS = {"each fifth read fails", "each third write is cut short"}  # of the latter the rest is written, too
# The server is to work again within 2 s; what more there is here, the clients and a busy machine may take.
RECOVERY = {"plain": 2.0, "asan": 5.0, "tsan": 8.0}.get(BUILD_KIND, 8.0)


class Trouble:
    """A crowd on a disk that fails now and then."""

    def __init__(self, phoenix, rng):
        self.phoenix, self.random = phoenix, rng
        self.loop, self.ledger = Loop(), Ledger()
        self.failing = False
        self.quiet_from = 0.0
        self.crowd = Crowd(self.loop, self.ledger, phoenix.place, [f"talker{i}" for i in range(6)], rng, ROOMS, window=8,
                           faulty=lambda: self.failing or time.monotonic() < self.quiet_from, patience=5 * RECOVERY)
        for talker in self.crowd.talkers[::2]:
            talker.give_up = True
        self.crowd.say(1 << 30)

    def kept(self):
        return len(self.ledger.acknowledged)

    def refused(self):
        return sum(talker.refusals for talker in self.crowd.talkers)

    def wait_until_kept(self, more, what, seconds=DEADLINE):
        goal = self.kept() + more
        begin = time.monotonic()
        self.loop.run_until(lambda: self.kept() >= goal, what, seconds)
        return time.monotonic() - begin

    def run_until_full(self):
        """Until nothing is kept any more."""
        for talker in self.crowd.talkers:
            talker.longest_text = 2000
        while True:
            kept, refused = self.kept(), self.refused()
            self.loop.run_until(lambda: self.refused() >= refused + 100, "refusals", 2 * DEADLINE)
            if self.kept() == kept:
                return

    def fail(self, break_it, seconds, refuses):
        """The disk fails for a while."""
        self.wait_until_kept(20, "messages to be kept while the disk works")
        before = self.refused()
        self.failing = True
        break_it()
        if refuses:
            self.loop.run_until(lambda: self.refused() > before, "a refusal", DEADLINE)
        self.loop.run_for(seconds)
        assert self.phoenix.server.process.poll() is None, "the server ended because the disk failed"

    def recover(self, what, is_quiet_after=False):
        """The disk works again."""
        self.quiet_from = time.monotonic() + RECOVERY
        self.failing = False
        self.phoenix.server.assert_lives()
        took = self.wait_until_kept(20, f"messages to be kept again after: {what}", DEADLINE)
        assert took < RECOVERY, f"{took:.1f} s until messages were kept again after: {what}"
        if is_quiet_after:
            self.crowd.stop_talking()
        self.loop.run_for(max(0, self.quiet_from - time.monotonic()) if BUILD_KIND == "plain" and is_long() else 0)
        return took

    def end(self, path):
        self.quiet_from = time.monotonic() + RECOVERY
        ends = self.crowd.settle()
        self.crowd.close()
        audit(self.loop, self.ledger, self.phoenix.place, self.random, ROOMS, ends)
        self.phoenix.kill()
        assert integrity(path) == "ok", integrity(path)
        self.phoenix.start()
        audit(self.loop, self.ledger, self.phoenix.place, self.random, ROOMS, ends, name="second auditor")
        self.phoenix.stop()


def repeat(rng):
    kinds = list(KINDS) * (10 if is_long() else 1)
    rng.shuffle(kinds)
    return kinds


def run(make_episode):
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-faults-") as folder:
        path = os.path.join(folder, "chat.db")
        disk = Disk(folder)
        with Phoenix(lambda: disk.server(journal=f"sqlite:{path}")) as phoenix:
            trouble = Trouble(phoenix, rng)
            for kind in repeat(rng):
                refused = trouble.refused()
                took = make_episode(trouble, disk, kind)
                print(f"{kind}: {trouble.refused() - refused} refusals; kept again after {took * 1000:.0f} ms", flush=True)
            trouble.end(path)
        disk.close()
        print(trouble.ledger.summary())


def set_fault(disk, kind):
    for name, value in KINDS[kind].items():
        setattr(disk.control, name, value)


def test_nobody_sees_what_a_failing_disk_refused():
    def episode(trouble, disk, kind):
        trouble.fail(lambda: set_fault(disk, kind), trouble.random.uniform(0.05, 0.5), kind not in WITHOUT_REFUSALS)
        disk.mend()
        return trouble.recover(kind)
    run(episode)


def test_nobody_sees_what_was_refused_after_a_kill_either():
    def episode(trouble, disk, kind):
        trouble.fail(lambda: set_fault(disk, kind), trouble.random.uniform(0, 0.3), kind not in WITHOUT_REFUSALS)
        trouble.phoenix.kill()
        disk.mend()
        trouble.phoenix.start()
        return trouble.recover(kind)
    run(episode)


def write_ballast(path, most=1 << 40):
    """Fills a file system, or 'most' bytes of it."""
    size = 0
    with open(path, "wb", buffering=0) as file:
        for step in (1 << 20, 4096, 1024):
            try:
                while size < most:
                    os.posix_fallocate(file.fileno(), size, step)
                    size += step
            except OSError as error:
                assert error.errno == errno.ENOSPC


def test_a_full_file_system_refuses_and_recovers():
    """
    A small tmpfs that something else fills; then it goes away. The journal gives back what its log takes, and goes on in that for
    a while, so it grows by some megabytes each time; the file system has room for all of them.
    """
    become_private()
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-faults-") as folder, tmpfs(f"{folder}/small", "256m") as small:
        path, ballast = f"{small.place}/chat.db", f"{small.place}/ballast"
        with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
            trouble = Trouble(phoenix, rng)
            for number in range(30 if is_long() else 3):
                trouble.crowd.say(1 << 30)
                trouble.fail(lambda: write_ballast(ballast), rng.uniform(0.1, 0.5), True)
                if number % 3 == 1:
                    phoenix.kill()
                os.unlink(ballast)
                if number % 3 == 1:
                    phoenix.start()
                took = trouble.recover("full", True)
                print(f"kept again after {took * 1000:.0f} ms; {trouble.kept()} messages, {os.stat(path).st_size >> 20} MiB", flush=True)
            trouble.end(path)
        print(trouble.ledger.summary())


def test_a_full_file_system_with_blocks_smaller_than_a_page_does_not_end_the_server():
    """
    SQLite maps its index of the log, and makes it longer by the last byte of each page. Where a block is smaller than a page the rest
    of the page has no place on the disk yet; touched when the disk was full, it ended the server with SIGBUS.
    """
    become_private()
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-faults-") as folder, tmpfs(f"{folder}/memory", "64m") as memory:
        make_ext4(f"{memory.place}/disk", 32 << 20, block=1024)
        with ext4(f"{folder}/small", f"{memory.place}/disk") as small:
            path, ballast = f"{small.place}/chat.db", f"{small.place}/ballast"
            with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
                trouble = Trouble(phoenix, rng)
                for _ in range(20 if is_long() else 4):
                    trouble.failing = True
                    disk = os.statvfs(small.place)
                    write_ballast(ballast, disk.f_bavail * disk.f_frsize - rng.randrange(2 << 20, 3 << 20))
                    phoenix.kill()
                    phoenix.start()
                    trouble.run_until_full()
                    phoenix.server.assert_lives()
                    assert os.stat(f"{path}-shm").st_blocks * 512 >= 1 << 20, "the index of the log has no blocks"
                    os.unlink(ballast)
                    trouble.recover("full")
                trouble.end(path)
        print(trouble.ledger.summary())


def test_a_journal_that_fills_its_file_system_uses_all_of_it_and_goes_on_with_a_little_more():
    """
    What was written last is in a log until it is moved to the journal's file. A log that had taken the room that the file
    needed for this could never be emptied again: the journal failed for ever, two thirds of the disk taken by its log.
    """
    become_private()
    rng = random.Random(seed())
    with tempfile.TemporaryDirectory(prefix="tcpchat-faults-") as folder, tmpfs(f"{folder}/small", "8m") as small:
        path, little, more = (f"{small.place}/{name}" for name in ("chat.db", "little", "more"))
        write_ballast(little, 1 << 20)
        write_ballast(more, 3 << 20)
        with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as phoenix:
            trouble = Trouble(phoenix, rng)
            trouble.failing = True
            for room, killed, ballast in ((4 << 20, False, little), (5 << 20, True, more)):
                trouble.run_until_full()
                size = os.stat(path).st_size
                print(f"full with {trouble.kept()} messages in {size} bytes of {room}", flush=True)
                assert size > 0.7 * room, f"of {room} bytes the messages have {size}"
                if killed:
                    phoenix.kill()
                os.unlink(ballast)
                if killed:
                    phoenix.start()
                took = trouble.wait_until_kept(200, "messages to be kept with a little room")
                assert took < RECOVERY, f"{took:.1f} s until messages were kept again"
            trouble.failing = False
            trouble.end(path)
        print(trouble.ledger.summary())


if __name__ == "__main__":
    main(time_limit())
