"""
A tcpclient in a pipe that talks among strict clients, and the same ledger holds for what it prints.

It is left alone with whatever happens to its connection: it has to come back by itself, to go on where it stopped, and to
send what was not acknowledged. A Typist types at a pace, and reads. It fails as soon as

- what is said in a room is printed twice, is left out, or is not what everybody else got;
- a line of its own is said twice, somewhere else, or by another name (the ledger knows); or it is told so twice;
- the client tells of an error, writes to standard error, or ends before its input does, or with a failure.
"""

import json
import os
import re
import signal
import subprocess

from loop import READ, WRITE
from strict import MESSAGE_KINDS, shown
from talk import SANITIZER_REPORT, _PR_SET_PDEATHSIG, _libc, clean_environment, program

CHUNK = 1 << 17


class Typist:
    """
    place   the address
    folder  where it keeps what it has to
    rooms   where it reads, the lobby first; it talks in the last one, since that is where its plain text goes
    window  how many lines may be without an answer
    """

    form = None  # the option that says what it prints

    def __init__(self, loop, ledger, place, folder, name, rng, rooms, window=16):
        self.loop, self.ledger, self.name, self.random = loop, ledger, name, rng
        self.rooms, self.room, self.window = rooms, rooms[-1], window
        self.quota = 0
        self.said = 0
        self.outbox = set()  # numbers of lines whose answer was not printed
        self.entered = set()  # rooms
        self.here = False
        self.losses = 0      # connections, as it tells
        self.ended = False
        self._incoming = bytearray()
        self._outgoing = bytearray()
        state = os.path.join(folder, name)
        os.mkdir(state)
        self._errors_path = os.path.join(state, "errors")
        with open(self._errors_path, "wb") as errors:
            self.process = subprocess.Popen(
                [program("TCPCLIENT"), self.form, "--continue", "-username", name, "%s:%d" % place],
                env=clean_environment({"XDG_STATE_HOME": state, "XDG_CONFIG_HOME": state}), stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=errors,
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        for pipe in (self.process.stdin, self.process.stdout):
            os.set_blocking(pipe.fileno(), False)
        loop.watch(self.process.stdout, READ, self._read)
        for room in rooms[1:]:
            self._type(f'/join "{room}"')
        self._type("/ping here")  # answered when it has begun to read the lobby, too

    def has_come(self):
        """Whether it reads in all of its rooms. Until then nothing should happen to it."""
        return self.here and self.entered >= set(self.rooms)

    def has_read(self, ends):
        """Whether it has printed everything up to these numbers."""
        raise NotImplementedError

    def _hear(self, line):
        raise NotImplementedError

    # ---- Typing. ----

    def say(self, count):
        self.quota += count
        self._speak()

    def _speak(self):
        while self.quota > 0 and len(self.outbox) < self.window:
            self.quota -= 1
            self.said += 1
            length = self.random.randrange(20, 200) * (100 if self.random.random() < 0.005 else 1)
            text = f"{self.name} {self.said} ".ljust(min(length, 30000), "x")
            self.ledger.spoken[(self.name, self.said)] = (self.room, text)
            self.outbox.add(self.said)
            self._type(text)

    def _type(self, line):
        self._outgoing += line.encode() + b"\n"
        self.loop.watch(self.process.stdin, WRITE, self._write)

    def _write(self, _):
        try:
            written = os.write(self.process.stdin.fileno(), self._outgoing[:CHUNK])
        except BlockingIOError:
            return
        del self._outgoing[:written]
        if not self._outgoing:
            self.loop.forget(self.process.stdin)

    def state(self):
        return f"{self.name}: {self.said} said, unanswered: {sorted(self.outbox)[:5]}, {self.losses} connections lost"

    # ---- Reading. ----

    def _read(self, _):
        data = os.read(self.process.stdout.fileno(), CHUNK)
        if not data:
            self.loop.forget(self.process.stdout)
            self.ended = True
            assert self.process.stdin.closed, f"{self.name} ended by itself: {self.errors()}"
            return
        self._incoming += data
        lines = self._incoming.split(b"\n")
        self._incoming = lines.pop()
        for line in lines:
            self._hear(line.decode())
        self._speak()

    def _see_answer(self, number):
        assert number in self.outbox, f"{self.name} printed the answer to its line {number} twice"
        self.outbox.remove(number)

    # ---- The end. ----

    def errors(self):
        with open(self._errors_path, encoding="utf-8", errors="replace") as errors:
            return errors.read()

    def finish(self, seconds):
        """Its input ends, and so does it."""
        assert not self._outgoing and not self.outbox
        self.process.stdin.close()
        self.loop.run_until(lambda: self.ended, f"the end of {self.name}", seconds)
        code = self.process.wait(seconds)
        errors = self.errors()
        assert not SANITIZER_REPORT.search(errors), errors
        assert code == 0 and errors == "", f"{self.name} ended with {code}: {errors}"
        assert not self._incoming, f"{self.name} printed a torn line: {shown(self._incoming)}"
        self.process.stdout.close()

    def check(self):
        """When the ledger is complete."""
        for number in range(1, self.said + 1):
            assert (self.name, number) in self.ledger.places, f"nobody saw line {number} of {self.name}"

    def kill(self):
        """Whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Machine(Typist):
    """Prints events."""

    form = "--json"

    def __init__(self, *arguments, **options):
        self.last = {}  # room: the number of the message read last; where it began before that
        self.ids = {}   # room: its id
        self.spoken_in = set()  # rooms where something was said
        super().__init__(*arguments, **options)

    def has_read(self, ends):
        return all(self.last[room] >= ends[room] for room in self.rooms)

    def _hear(self, line):
        event = json.loads(line)
        kind = event["kind"]
        if kind in MESSAGE_KINDS and "seq" in event:
            self._hear_message(event)
        elif kind == "notice":
            self._hear_notice(event)
        elif kind == "welcome":
            assert event["participant"] == self.name, f"{self.name} came back as {event['participant']}"
            self._enter(event)
        elif kind == "pong":
            self.here = True
        else:
            raise AssertionError(f"{self.name} printed {shown(line)}")

    def _enter(self, event):
        self.entered.add(event["room"])
        if self.ids.setdefault(event["room"], event["room_id"]) != event["room_id"]:
            # A room that all had left before anything was said there is made anew, and its numbers begin again.
            assert event["room"] not in self.spoken_in, f"{self.name} has heard of another {event['room']}: {shown(event)}"
            self.ids[event["room"]] = event["room_id"]
            self.last[event["room"]] = event["last"]
        last = self.last.setdefault(event["room"], event["last"])
        assert event["last"] >= last, f"{self.name} has read {last} in {event['room']}, and is told {shown(event)}"

    def _hear_message(self, event):
        room, seq = event["room"], event["seq"]
        wanted = self.last[room] + 1
        assert seq == wanted, (
            f"{self.name} in {room}: after {wanted - 1} came {seq}, "
            f"{'a double' if seq < wanted else f'{seq - wanted} are missing'}: {shown(event)}")
        self.last[room] = seq
        if event["kind"] in ("message", "action"):
            self.spoken_in.add(room)
        self.ledger.see({key: value for key, value in event.items() if key != "history"})

    def _hear_notice(self, event):
        code = event.get("code")
        if code == "said":
            number = event["id"]
            self._see_answer(number)
            self.ledger.acknowledge((self.name, number), event["room"], event["seq"])
        elif code == "room":
            self._enter(event)
        elif code is None and " is gone: " in event["text"]:
            self.losses += 1
        else:
            assert code != "skipped", f"{self.name}: {shown(event)}"


class Person(Typist):
    """Prints lines. It has to be in several rooms, so that each line tells its room, and before anybody speaks."""

    form = "--plain"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.read = {room: [] for room in self.rooms}

    def spoken_in(self, room, end):
        """What the others have seen there."""
        messages = self.ledger.rooms.get(room, {})
        return [messages[seq][2] for seq in sorted(messages) if messages[seq][0] == "message" and seq <= end]

    def has_read(self, ends):
        return all(len(self.read[room]) >= len(self.spoken_in(room, ends[room])) for room in self.rooms)

    def _hear(self, line):
        assert not line.startswith("! "), f"{self.name} printed {shown(line)}"
        said = re.match(r"\[([^]]+)\] (\S+): ((\S+) (\d+) x*)$", line)
        if said:
            self._hear_said(said[1], said[2], said[3], (said[4], int(said[5])))
        elif re.match(r"The server\(.*\) is gone: ", line):
            self.losses += 1
        elif entered := re.match(r"\* (?:Welcome .* )?[Yy]ou are in (.+?)[,.] ", line, re.I):
            self.entered.add(entered[1])
        elif line.endswith("pong here"):
            self.here = True
        else:
            assert re.match(r"(\[.+\] )?User |Connected to |---", line), f"{self.name} printed {shown(line)}"

    def _hear_said(self, room, name, text, key):
        assert name == key[0], f"{self.name} printed the words of somebody else: {shown(text)}"
        assert self.ledger.spoken.get(key) == (room, text), f"{key} was never said so: {shown(text)}"
        self.read[room].append(text)
        if name == self.name:
            self._see_answer(key[1])

    def check(self):
        super().check()
        for room in self.rooms:
            wanted, read = self.spoken_in(room, max(self.ledger.rooms[room])), self.read[room]
            first = next((i for i, pair in enumerate(zip(wanted, read)) if pair[0] != pair[1]), min(len(wanted), len(read)))
            assert wanted == read, (f"{self.name} printed {len(read)} of {len(wanted)} messages in {room};"
                                    f" from {first} on {shown(read[first:])}, not {shown(wanted[first:])}")


class Pool:
    """Typists of both kinds, who come within so many seconds, and how they come to rest."""

    def __init__(self, loop, ledger, place, folder, rng, rooms, seconds):
        self.loop = loop
        lobby, *others = rooms
        self.typists = []
        try:
            for name, kind, own in (("machine0", Machine, [lobby, *others]), ("machine1", Machine, [lobby]),
                                    ("person0", Person, [lobby, others[0]])):
                self.typists.append(kind(loop, ledger, place, folder, name, rng, own))
            loop.run_until(lambda: all(typist.has_come() for typist in self.typists), self.state, seconds)
        except BaseException:
            self.kill()
            raise

    def say(self, count):
        """Each that has said what it had to."""
        for typist in self.typists:
            if typist.quota == 0:
                typist.say(count)

    def rest(self, seconds):
        """They say no more than they have typed, and that is answered."""
        for typist in self.typists:
            typist.quota = 0
        self.loop.run_until(lambda: not any(typist.outbox for typist in self.typists), self.state, seconds)

    def finish(self, ends, seconds):
        self.loop.run_until(lambda: all(typist.has_read(ends) for typist in self.typists), self.state, seconds)
        for typist in self.typists:
            typist.finish(seconds)

    def check(self):
        """When the ledger is complete."""
        for typist in self.typists:
            typist.check()

    def state(self):
        return "; ".join(typist.state() for typist in self.typists)

    def kill(self):
        for typist in self.typists:
            typist.kill()
