"""
Proof: who sleeps while very much is said reads all of it afterwards, in order; and it costs the others nothing.

One reader stops reading while 200,000 lines are said (CHAT_PROOF=long: 1,000,000). The server's memory (PSS) is compared with that
of the same lines without the sleeper, in the same server: 2 MiB more are allowed, all the time, also while the sleeper reads at
last. Somebody who sends a line now and then measures how long its echo takes, in both runs. Then 200 sleep at once.
"""

import socket
import tempfile
import threading
import time

from strict import is_long, time_limit
from talk import BUILD_KIND, DEADLINE, Server, main, raise_descriptor_limit, scaled

BATCH = 500
MIB = 1 << 20
# A sanitizer keeps what was freed for a while, and counts its own; there only the reading is proven.
MEASURES_MEMORY = BUILD_KIND == "plain"


def line(number):
    return b"line %09d " % number + b"abcdefghijklmnopqrstuvwxyz"[number % 26:number % 26 + 1] * (10 + number % 40)


def lines(first, count, before=b""):
    return b"".join(before + line(number) + b"\n" for number in range(first, first + count))


class Watch:
    """The most memory that the server had, and how long echoes took, as long as the 'with' block runs."""

    def __init__(self, server, name):
        self.server, self.most, self.delays = server, 0, []
        self._pinger = server.join(name)
        self._name = name
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._fault = None

    def _watch(self):
        try:
            number = 0
            while not self._ends.wait(0.01):
                text = f"{number} is how late?"
                wanted = f"{self._name}: {text}\n".encode()
                begin = time.monotonic()
                self._pinger.say(text)
                while wanted not in self._pinger.buffer:
                    del self._pinger.buffer[:-len(wanted)]
                    self._pinger._receive()
                self.delays.append(time.monotonic() - begin)
                if number % 5 == 0:
                    self.most = max(self.most, self.server.memory())
                number += 1
        except Exception as error:
            self._fault = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._ends.set()
        self._thread.join(DEADLINE)
        self._pinger.close()
        if kind is None and self._fault is not None:
            raise self._fault
        return False

    def percentile(self, part):
        return sorted(self.delays)[int(len(self.delays) * part)] * 1000


def talk_much(speaker, first, count, name):
    """Says so many lines, not faster than they are echoed."""
    for start in range(first, first + count, BATCH):
        many = min(BATCH, first + count - start)
        speaker.raw(lines(start, many))
        while (b"%s: %s\n" % (name, line(start + many - 1))) not in speaker.buffer:
            del speaker.buffer[:-1000]
            assert speaker._receive(), "the server has closed"
        speaker.buffer.clear()


class Sleeper:
    """A reader of which the lines of 'speaker' are compared with what was said; others' lines are left out."""

    def __init__(self, client):
        self.client, self.next, self.rest, self.behind = client, 0, b"", 0

    def wake(self):
        self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        self.client.socket.settimeout(DEADLINE)

    def read(self, until, seconds):
        """Reads until that line has been read, each in its turn."""
        end = time.monotonic() + seconds
        self.wake()
        while self.next < until:
            assert time.monotonic() < end, f"{self.next} of {until} lines after {seconds} s"
            data = self.client.socket.recv(1 << 20)
            assert data, "the server has closed"
            self.take(data)

    def take(self, data):
        text = self.rest + data
        cut = text.rfind(b"\n") + 1
        self.rest = text[cut:]
        said = [part for part in text[:cut].split(b"\n") if part.startswith(b"speaker: ")]
        self.behind += text[:cut].count(b"messages behind")
        assert b"skipped" not in text
        wanted = lines(self.next, len(said), b"speaker: ")
        assert b"\n".join(said) + b"\n" == wanted or not said, f"line {self.next} or one after it is not the next one"
        self.next += len(said)


def fall_asleep(server, name):
    client = server.join(name, receive_buffer=4096)
    return Sleeper(client)


def test_a_reader_that_slept_gets_all_of_it():
    count = 1000000 if is_long() else scaled(200000)
    seconds = 20 * DEADLINE
    with tempfile.TemporaryDirectory(prefix="tcpchat-asleep-") as folder:
        with Server("--history", "none", journal=f"sqlite:{folder}/chat.db") as server:
            speaker = server.join("speaker")
            talk_much(speaker, 0, count // 4, b"speaker")  # caches are warm now
            with Watch(server, "before") as before:
                talk_much(speaker, 0, count, b"speaker")
            sleeper = fall_asleep(server, "sleeper")
            with Watch(server, "meanwhile") as meanwhile:
                talk_much(speaker, 0, count, b"speaker")
            with Watch(server, "reading") as reading:
                begin = time.monotonic()
                sleeper.read(count, seconds)
                took = time.monotonic() - begin
            # And it hears what is said now.
            talk_much(speaker, count, BATCH, b"speaker")
            sleeper.read(count + BATCH, seconds)
    more = max(meanwhile.most, reading.most) - before.most
    print(f"{count} lines, read in {took:.1f} s ({count / took:.0f} lines/s); memory: {before.most / MIB:.2f} MiB without the"
          f" sleeper, {meanwhile.most / MIB:.2f} while it slept, {reading.most / MIB:.2f} while it read: {more / MIB:+.2f} MiB")
    for watch, when in ((before, "without the sleeper"), (meanwhile, "while it slept"), (reading, "while it read")):
        print(f"echo {when}: p50 {watch.percentile(0.5):.2f} ms, p99 {watch.percentile(0.99):.2f} ms ({len(watch.delays)})")
    if MEASURES_MEMORY:
        assert more < 2 * MIB, f"the sleeper costs {more / MIB:.2f} MiB"
        assert meanwhile.percentile(0.99) < 3 * before.percentile(0.99) + 20, "the others wait for the sleeper"


def test_two_hundred_sleepers_cost_little():
    readers, count = scaled(200), scaled(60000)
    raise_descriptor_limit(1024)
    with tempfile.TemporaryDirectory(prefix="tcpchat-asleep-") as folder:
        with Server("--history", "none", journal=f"sqlite:{folder}/chat.db") as server:
            speaker = server.join("speaker")
            talk_much(speaker, 0, 20000, b"speaker")
            with Watch(server, "before") as before:
                talk_much(speaker, 0, count, b"speaker")
            sleepers = [fall_asleep(server, f"sleeper{number}") for number in range(readers)]
            with Watch(server, "meanwhile") as meanwhile:
                talk_much(speaker, 0, count, b"speaker")
            with Watch(server, "reading") as reading:
                begin = time.monotonic()
                read_all(sleepers, count)
                took = time.monotonic() - begin
    more = max(meanwhile.most, reading.most) - before.most
    backlog = readers * len(lines(0, count, b"speaker: "))
    print(f"{readers} sleepers, {count} lines, {backlog / MIB:.0f} MiB to read in all, in {took:.1f} s; memory"
          f" {before.most / MIB:.1f} MiB without them, {meanwhile.most / MIB:.1f} while they slept, {reading.most / MIB:.1f}"
          f" while they read: {more / MIB:+.1f} MiB, {more / readers / 1024:.0f} KiB each")
    for watch, when in ((before, "without them"), (meanwhile, "while they slept"), (reading, "while they read")):
        print(f"echo {when}: p50 {watch.percentile(0.5):.2f} ms, p99 {watch.percentile(0.99):.2f} ms ({len(watch.delays)})")
    if MEASURES_MEMORY:
        assert more < min(readers * 2 * MIB, backlog / 4), f"the sleepers cost {more / MIB:.1f} MiB"
        assert meanwhile.percentile(0.99) < 3 * before.percentile(0.99) + 20, "the others wait for the sleepers"


def read_all(sleepers, count):
    """In threads: Python's own locks are released while it waits for bytes."""
    faults = []

    def read(some):
        try:
            for sleeper in some:
                sleeper.wake()
            left = list(some)
            while left:
                for sleeper in list(left):
                    data = sleeper.client.socket.recv(1 << 18)
                    assert data, "the server has closed"
                    sleeper.take(data)
                    if sleeper.next >= count:
                        left.remove(sleeper)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=read, args=(sleepers[start::4],), daemon=True) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(time_limit())
    if faults:
        raise faults[0]


if __name__ == "__main__":
    main(time_limit())
