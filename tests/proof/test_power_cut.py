"""
Proof: a power cut loses nothing that was acknowledged, or seen by anybody.

Strict clients talk; at random moments the server is stopped (SIGSTOP), what its disk would hold if the power was cut just now is
copied, and another server is started on the copy. Everything that anybody was told until then has to be there. Then the first
one goes on. Two ways to know what the disk would hold:

- a library that writes down each write and each fsync (disk.c) and makes of it what a disk may hold: what was synced, and of the
  rest any parts of 512 bytes. It is stricter than a real disk, and needs no rights.
- an ext4 in a file behind a loop device: what the file system has not written to its device is lost. Needs root, else skipped.

That the proof proves something: with --sync off the same cuts do lose acknowledged messages.

40 cuts of a journal from its beginning on; in the long form (CHAT_PROOF=long) of ten journals after each other, because each cut reads
all that was said until then. CHAT_PROOF_SEED chooses the moments and the parts.
"""

import os
import random
import shutil
import signal
import tempfile

from disk import Disk, Recorder
from loop import Loop
from mounts import become_private, ext4, make_ext4, tmpfs
from phoenix import Phoenix, integrity
from strict import Crowd, Ledger, Talker, is_long, seed, time_limit
from talk import DEADLINE, Server, main, scaled

ROOMS = ("lobby", "tea", "milk tea")


def check_copy(path, ledger, rng, must_have_all=True):
    """Starts a server on what was left, and reads all of it. Returns how many acknowledged messages are lost."""
    found = Ledger()
    found.spoken = ledger.spoken
    loop = Loop()
    with Phoenix(lambda: Server(journal=f"sqlite:{path}")) as copy:
        reader = Talker(loop, found, copy.place, "auditor", rng, ROOMS, silent=True, patience=600)
        loop.run_until(reader.has_read_all, lambda: f"the copy's end; it is at {reader.last}", 2 * DEADLINE)
        reader.close()
        copy.kill()
    loop.close()
    assert integrity(path) == "ok", integrity(path)
    lost = 0
    for key, place in ledger.acknowledged.items():
        if found.places.get(key) != place:
            assert not must_have_all, f"{key} was acknowledged as {place}, but is {found.places.get(key)} after the power cut"
            lost += 1
    for room, messages in ledger.rooms.items():
        known = found.rooms.get(room, {})
        for seq, entry in messages.items():
            assert not must_have_all or known.get(seq) == entry, f"{room} {seq} was seen as {entry}, but is {known.get(seq)}"
    return lost


def stop(pid):
    """Stops the server's threads where they are."""
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)


class Cuts:
    """Clients of a server that is stopped now and then; copies() gives folders with what its disk would hold."""

    def __init__(self, phoenix, rng, count):
        self.phoenix, self.random, self.count = phoenix, rng, count
        self.loop, self.ledger = Loop(), Ledger()
        self.crowd = Crowd(self.loop, self.ledger, phoenix.place, [f"talker{i}" for i in range(6)], rng, ROOMS, patience=600,
                           window=3)
        self.crowd.say(1 << 30)

    def run(self, check):
        """Calls check() in each cut, until it returns True."""
        self.loop.run_until(lambda: len(self.ledger.acknowledged) > 10, "the first messages", DEADLINE)
        for _ in range(self.count):
            self.loop.run_for(self.random.uniform(0.01, 0.2))
            stop(self.phoenix.server.pid)
            self.loop.run_for(0.02)  # what is under way to the clients
            if check():
                break
            self.phoenix.server.send_signal(signal.SIGCONT)
        self.phoenix.server.send_signal(signal.SIGCONT)
        self.crowd.stop_talking()
        self.crowd.close()


def count():
    return max(4, scaled(40))


def many(run, sync, check):
    """Runs the cuts of one journal, in the long form of ten."""
    rng = random.Random(seed())
    journals = 10 if is_long() else 1
    for _ in range(journals):
        done = run(sync, rng, check)
        assert len(done) == count()
    print(f"{journals} journals, {journals * count()} cuts in all")


def record(sync, rng, check):
    """Runs cuts of a disk that is written down; check(cuts, path) looks at each copy."""
    with tempfile.TemporaryDirectory(prefix="tcpchat-power-") as folder:
        kept, copy = os.path.join(folder, "kept"), os.path.join(folder, "copy")
        os.mkdir(kept)
        disk = Disk(kept, os.path.join(folder, "log"))
        disk.control.skips_sync = 1
        with Phoenix(lambda: disk.server("--sync", sync, journal=f"sqlite:{kept}/chat.db")) as phoenix:
            recorder = Recorder(disk.log)
            cuts = Cuts(phoenix, rng, count())
            done = []

            def look():
                recorder.read_to_end()
                os.mkdir(copy)
                recorder.power_cut(rng, copy)
                done.append(check(cuts, os.path.join(copy, "chat.db")))
                shutil.rmtree(copy)
                return done[-1]

            cuts.run(look)
            phoenix.kill()
        disk.close()
    print(f"--sync {sync}: {len(done)} cuts; {recorder.writes} writes, {recorder.syncs} syncs; {cuts.ledger.summary()}")
    return done


def test_power_cuts_lose_nothing():
    many(record, "full", lambda cuts, path: check_copy(path, cuts.ledger, cuts.random) and False)


def test_power_cuts_damage_nothing_with_sync_normal():
    lost = []
    many(record, "normal", lambda cuts, path: lost.append(check_copy(path, cuts.ledger, cuts.random, False)))
    print(f"--sync normal: the last messages were lost in {sum(1 for number in lost if number)} cuts, {max(lost)} at most")


def test_without_sync_power_cuts_do_lose_messages():
    """Or the proof would prove nothing."""
    def loses(cuts, path):
        try:
            return check_copy(path, cuts.ledger, cuts.random, False) > 0
        except AssertionError:
            return True  # not even a database
    done = record("off", random.Random(seed()), loses)
    assert done[-1], "the cuts cut nothing"
    print(f"--sync off: cut {len(done)} lost acknowledged messages")


# ---- The same with a file system behind a loop device. ----


def read_data(image):
    """What was written to the image: a list of (place, bytes)."""
    parts = []
    with open(image, "rb", buffering=0) as file:
        end, place = os.fstat(file.fileno()).st_size, 0
        while place < end:
            try:
                start = os.lseek(file.fileno(), place, os.SEEK_DATA)
            except OSError:
                break  # only holes from here on
            place = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append((start, os.pread(file.fileno(), place - start, start)))
    return parts


def copy_frozen(image, copy):
    """Copies what the device holds at one moment: two readings after each other are equal."""
    parts = read_data(image)
    while (again := read_data(image)) != parts:
        parts = again
    with open(copy, "wb") as file:
        file.truncate(os.path.getsize(image))
        for start, data in parts:
            file.seek(start)
            file.write(data)


def loop_mount(sync, rng, check):
    done = []
    with tempfile.TemporaryDirectory(prefix="tcpchat-power-") as folder, tmpfs(f"{folder}/memory", "2g") as memory:
        image, copy = f"{memory.place}/disk", f"{memory.place}/copy"
        make_ext4(image, 128 << 20)  # a full one is another proof's matter
        with ext4(f"{folder}/kept", image) as kept:
            def look():
                copy_frozen(image, copy)
                with ext4(f"{folder}/after", copy) as after:
                    done.append(check(cuts, f"{after.place}/chat.db"))
                return done[-1]

            with Phoenix(lambda: Server("--sync", sync, journal=f"sqlite:{kept.place}/chat.db")) as phoenix:
                cuts = Cuts(phoenix, rng, count())
                cuts.run(look)
                phoenix.kill()
    print(f"--sync {sync}, ext4 on a loop device: {len(done)} cuts; {cuts.ledger.summary()}")
    return done


def test_a_file_system_that_is_cut_off_loses_nothing():
    become_private()
    many(loop_mount, "full", lambda cuts, path: check_copy(path, cuts.ledger, cuts.random) and False)


def test_without_sync_a_file_system_that_is_cut_off_does_lose_messages():
    def loses(cuts, path):
        try:
            return not os.path.exists(path) or check_copy(path, cuts.ledger, cuts.random, False) > 0
        except AssertionError:
            return True
    become_private()
    assert loop_mount("off", random.Random(seed()), loses)[-1], "the cuts cut nothing"


if __name__ == "__main__":
    main(time_limit())
