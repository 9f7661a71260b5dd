"""
A strict client in event mode, and the ledger in which all of them write down what they saw.

A Talker has a session id and numbers what it sends. It connects again whenever its connection is gone, resumes each room
where it stopped, and sends again whatever was not acknowledged. It fails as soon as the server breaks a promise:

- the messages of a room come with the numbers 1, 2, 3 ... each once, whatever happened to the connection or to the server;
- a number stands for the same message, with the same time, for everybody and for ever;
- what is said is seen at one number alone, with the text that was sent, and acknowledged with that number;
- what was refused is seen by nobody (if it was sent once; else an earlier copy may have been kept).
"""

import json
import re
import os
import socket
import struct
import time

from loop import READ, WRITE
import talk
from talk import BUILD_KIND, DEADLINE

CHUNK = 1 << 17
GREETING = talk.GREETING.encode()
MESSAGE_KINDS = {"message", "action", "joined", "left", "nick", "topic", "room_closed"}
# A machine so busy that nothing is heard for this long looks like a dead connection, which costs time but no message.
PATIENCE = {"plain": 1.0, "asan": 3.0, "tsan": 5.0}.get(BUILD_KIND, 3.0)


def seed():
    """The seed of this run: CHAT_PROOF_SEED, or a new one. It is printed, so that a run can be repeated."""
    value = int(os.environ.get("CHAT_PROOF_SEED") or int.from_bytes(os.urandom(4), "big"))
    print(f"seed: CHAT_PROOF_SEED={value}", flush=True)
    return value


def is_long():
    return os.environ.get("CHAT_PROOF") == "long"


def time_limit():
    """Seconds that a proof may take."""
    return 7200 if is_long() else 4 * DEADLINE


class Ledger:
    """What all clients together know."""

    def __init__(self):
        self.rooms = {}         # room: {seq: (kind, participant, text, at)}
        self.room_ids = {}
        self.spoken = {}        # (participant, id): (room, text)
        self.places = {}        # (participant, id): (room, seq), where it was seen
        self.acknowledged = {}  # (participant, id): (room, seq)
        self.refused = set()    # (participant, id)
        self.seen_count = 0     # by however many

    def see(self, event):
        room, seq = event["room"], event["seq"]
        entry = (event["kind"], event.get("participant"), event.get("text"), event["at"])
        messages = self.rooms.setdefault(room, {})
        known = messages.get(seq)
        self.seen_count += 1
        if known is not None:
            assert known == entry, f"{room} {seq} was {shown(known)} and is {shown(entry)}"
            return
        messages[seq] = entry
        if event["kind"] == "message":
            self._see_said(room, seq, event["participant"], event["text"])

    def _see_said(self, room, seq, participant, text):
        name, _, rest = text.partition(" ")
        # Whose ghost has not gone within a few seconds, on a busy machine, comes back with a suffix.
        assert re.fullmatch(re.escape(name) + r"(#[0-9a-f]{6})?", participant), f"{room} {seq} has the text of somebody else than {participant}: {shown(text)}"
        key = (participant, int(rest.partition(" ")[0]))
        assert self.spoken.get(key) == (room, text), f"{room} {seq} was never said so: {shown(text)}"
        assert key not in self.places, f"{key} is in {room} as {seq}, and as {self.places[key]}: it was said twice"
        assert key not in self.refused, f"{key} was refused, but it was seen in {room} as {seq}"
        self.places[key] = (room, seq)

    def acknowledge(self, key, room, seq):
        before = self.acknowledged.setdefault(key, (room, seq))
        assert before == (room, seq), f"{key} was acknowledged as {before}, and then as {(room, seq)}"
        assert self.spoken[key][0] == room, f"{key} was sent to {self.spoken[key][0]}, and acknowledged in {room}"
        assert self.places.get(key, (room, seq)) == (room, seq), f"{key} was seen at {self.places[key]}, not {(room, seq)}"

    def refuse(self, key):
        assert key not in self.acknowledged, f"{key} was acknowledged, and then refused"
        assert key not in self.places, f"{key} was seen as {self.places[key]}, and then refused"
        self.refused.add(key)

    def check(self):
        """When all is quiet, and somebody has read every room to its end."""
        for room, messages in self.rooms.items():
            numbers = sorted(messages)
            assert numbers == list(range(1, len(numbers) + 1)), f"the numbers in {room} have a hole"
        for key, place in self.acknowledged.items():
            assert self.places.get(key) == place, f"{key} was acknowledged as {place}, but is {self.places.get(key)}"

    def summary(self):
        return (f"{len(self.spoken)} messages spoken, {len(self.acknowledged)} acknowledged, {len(self.refused)} refused,"
                f" {len(self.places)} kept; {self.seen_count} seen by all together")


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:150]}...{text[-100:]}"


class Talker:
    """
    place      a function that gives the address of the server, or None while there is none
    rooms      where it reads and talks; the lobby is one of them always
    window     how many messages may wait for their acknowledgement
    faulty     a predicate: whether the server may refuse messages and close connections now for want of a disk
    give_up    what is refused is not sent again
    silent     it only reads
    """

    def __init__(self, loop, ledger, place, name, rng, rooms=("lobby",), window=16, faulty=lambda: False, give_up=False,
                 silent=False, patience=PATIENCE):
        self.loop, self.ledger, self.place, self.name, self.random = loop, ledger, place, name, rng
        self.rooms = ["lobby"] + [room for room in rooms if room != "lobby"]
        self.window, self.faulty, self.give_up, self.silent, self.patience = window, faulty, give_up, silent, patience
        self.session = "%032x" % rng.getrandbits(128)
        self.last = {room: 0 for room in self.rooms}  # the number of the message read last
        self.outbox = {}     # id: the request, in order, until it is acknowledged
        self.sent_twice = set()
        self.next_id = 1
        self.quota = 0       # how many more messages it may begin
        self.socket = None
        self.closed = False
        self.connections = self.refusals = 0
        self.longest_text = 200
        self._state = "down"
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._heard = 0
        self._asked = None  # when it was asked whether it lives, and has not answered since
        self._epoch = 0
        self.told_last = {}  # room: how far it went when the server told last
        self._connect()

    # ---- The connection. ----

    def _connect(self):
        if self.closed:
            return
        place = self.place()
        if place is None:
            self.loop.later(0.01, self._connect)
            return
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect_ex(place)
        self._state = "connecting"
        self._asked = None
        self._heard = 0  # lines
        self._epoch += 1
        self._incoming.clear()
        self._outgoing.clear()
        self._begin()
        self.loop.watch(self.socket, READ | WRITE, self._ready)
        self.loop.later(self.patience / 2, lambda epoch=self._epoch: self._look(epoch))

    def _begin(self):
        """All that has to be said on a new connection, at once."""
        self.connections += 1
        self._ask(op="session", session=self.session, name=self.name, after=self.last["lobby"])
        for room in self.rooms[1:]:
            self._join(room)
        if self.silent:
            self._ask(op="join", room="lobby", id="join lobby")  # where it is already: it is told how far the room goes
        for number in list(self.outbox):
            self.sent_twice.add(number)
            self._outgoing += self.outbox[number]
        self._speak()

    def _join(self, room):
        where = {"room_id": self.ledger.room_ids[room]} if room in self.ledger.room_ids else {}
        self._ask(op="join", room=room, after=self.last[room], id=f"join {room}", **where)

    def _ask(self, **request):
        self._outgoing += json.dumps(request).encode() + b"\n"

    def drop(self, reset=False):
        """Leaves this connection, and connects again."""
        if self.socket is not None:
            self.loop.forget(self.socket)
            if reset:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        self.socket = None
        self._state = "down"
        if not self.closed:
            self.loop.later(0.01 + self.random.random() * 0.02, self._connect)

    def close(self):
        self.closed = True
        self.drop()

    def _look(self, epoch):
        """A connection is asked now and then whether it lives, in both directions; one that does not answer is left."""
        if self.closed or epoch != self._epoch or self.socket is None:
            return
        if self._asked is None:
            self._asked = time.monotonic()
            self._ask(op="ping")
            self._want()
        elif time.monotonic() - self._asked > 2 * self.patience:
            self.drop()
            return
        self.loop.later(self.patience / 2, lambda: self._look(epoch))

    def _want(self):
        if self.socket is not None:
            self.loop.watch(self.socket, READ | (WRITE if self._outgoing or self._state == "connecting" else 0), self._ready)

    def _ready(self, events):
        try:
            if events & READ:
                data = self.socket.recv(CHUNK)
                if not data:
                    self.drop()
                    return
                self._take(data)
                if self.socket is None:
                    return
            if self._state == "connecting" and events & WRITE:
                error = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error != 0:
                    self.drop()
                    return
                self._state = "up"
            if self._state == "up":
                self._speak()
                if self._outgoing:
                    sent = self.socket.send(self._outgoing[:CHUNK])
                    del self._outgoing[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.drop()
            return
        self._want()

    def has_read_all(self):
        """All that there was when it came."""
        return all(room in self.told_last and self.last[room] >= self.told_last[room] for room in self.rooms)

    # ---- Talking. ----

    def say(self, count):
        """Lets it say so many messages more."""
        self.quota += count
        if self._state == "up":
            self._speak()
            self._want()

    def _speak(self):
        while self.quota > 0 and len(self.outbox) < self.window and not self.silent and len(self._outgoing) < CHUNK:
            self.quota -= 1
            self._say_one(self.random.choice(self.rooms))

    def _say_one(self, room):
        number = self.next_id
        self.next_id += 1
        length = self.random.randrange(20, self.longest_text)
        if self.random.random() < 0.005:
            length *= 100
        text = f"{self.name} {number} ".ljust(min(length, 30000), "x")
        request = json.dumps({"op": "send", "room": room, "text": text, "id": number}).encode() + b"\n"
        self.ledger.spoken[(self.name, number)] = (room, text)
        self.outbox[number] = request
        self._outgoing += request
        return number

    def say_in_each_room(self):
        """The last words, after which all that came before has been seen."""
        for room in self.rooms:
            self._say_one(room)
        self._want()

    # ---- Listening. ----

    def _take(self, data):
        self._incoming += data
        lines = self._incoming.split(b"\n")
        self._incoming = lines.pop()
        for line in lines:
            if self.socket is None:
                return
            self._heard += 1
            if self._heard == 1 and line == GREETING:
                continue  # the first line took its time
            try:
                event = json.loads(line)
            except ValueError:
                raise AssertionError(f"{self.name} got a line that is no event: {shown(line)}") from None
            self._hear(event)

    def _hear(self, event):
        kind = event["kind"]
        if kind in MESSAGE_KINDS and "seq" in event:
            self._hear_message(event)
        elif kind == "notice":
            self._hear_notice(event)
        elif kind == "error":
            self._hear_error(event)
        elif kind == "welcome":
            assert event["participant"] == self.name, f"{self.name} came back as {event['participant']}"
        else:
            assert kind == "pong", f"{self.name} got {shown(event)}"
            self._asked = None

    def _hear_message(self, event):
        room, seq = event["room"], event["seq"]
        wanted = self.last[room] + 1
        assert seq == wanted, (
            f"{self.name} in {room}: after {wanted - 1} came {seq}, "
            f"{'a double' if seq < wanted else f'{seq - wanted} are missing'}: {shown(event)}")
        assert "history" not in event, f"{self.name} resumed, but was shown history: {shown(event)}"
        self.last[room] = seq
        self.ledger.see(event)

    def _hear_notice(self, event):
        code = event.get("code")
        if code == "said":
            number = event["id"]
            self.ledger.acknowledge((self.name, number), event["room"], event["seq"])
            self.outbox.pop(number, None)
            self._speak()
        elif code == "room":
            room = event["room"]
            known = self.ledger.room_ids.setdefault(room, event["room_id"])
            assert known == event["room_id"], f"{room} was {known} and is {event['room_id']}"
            self.told_last[room] = event["last"]
            assert event["last"] >= self.last[room], f"{room} ends before what was seen: {event}, {self.last[room]}"
        else:
            assert code != "skipped", f"{self.name}: {event}"

    def _hear_error(self, event):
        code, number = event["code"], event.get("id")
        assert self.faulty() or self.refusals > 0, f"{self.name} got an error: {shown(event)}"
        allowed = ("not-stored", "not-in-room", "journal-unreadable", "no-such-room", "no-memory")
        assert code in allowed, f"{self.name} got an error: {shown(event)}"
        if isinstance(number, str) and number.startswith("join "):
            self.loop.later(0.1, lambda epoch=self._epoch: self._rejoin(epoch, number[5:]))
        elif isinstance(number, int) and number in self.outbox:
            self._hear_refused(code, number)

    def _rejoin(self, epoch, room):
        if epoch == self._epoch and self.socket is not None:
            self._join(room)
            self._want()

    def _hear_refused(self, code, number):
        self.refusals += 1
        if not self.give_up or number in self.sent_twice:
            self.loop.later(0.05, lambda epoch=self._epoch: self._repeat(epoch, number))
            return
        assert code in ("not-stored", "not-in-room")
        self.ledger.refuse((self.name, number))
        del self.outbox[number]

    def _repeat(self, epoch, number):
        if epoch == self._epoch and self.socket is not None and number in self.outbox:
            self.sent_twice.add(number)
            self._outgoing += self.outbox[number]
            self._want()


class Crowd:
    """Talkers, and how they come to rest."""

    def __init__(self, loop, ledger, place, names, rng, rooms, **options):
        self.loop, self.ledger = loop, ledger
        self.talkers = []
        for i, name in enumerate(names):
            own = [room for j, room in enumerate(rooms) if (i + j) % 3 != 0]
            self.talkers.append(Talker(loop, ledger, place, name, rng, own, **options))

    def say(self, count):
        for talker in self.talkers:
            talker.say(count)

    def stop_talking(self):
        for talker in self.talkers:
            talker.quota = 0

    def settle(self, seconds=2 * DEADLINE):
        """Everything is acknowledged (or given up), and everybody has read to the end."""
        self.stop_talking()
        waits = lambda: ", ".join(f"{t.name}: {t._state}, {len(t.outbox)} unacknowledged, at {t.last}"
                                  for t in self.talkers if t.outbox)
        self.loop.run_until(lambda: not any(t.outbox for t in self.talkers), waits, seconds)
        for talker in self.talkers:
            talker.say_in_each_room()
        self.loop.run_until(lambda: not any(t.outbox for t in self.talkers), waits, seconds)
        ends = {}
        for room, seq in self.ledger.acknowledged.values():
            ends[room] = max(seq, ends.get(room, 0))
        self.loop.run_until(lambda: all(t.last[room] >= ends[room] for t in self.talkers for room in t.rooms),
                            lambda: f"{ends}; {[(t.name, t._state, t.last) for t in self.talkers]}", seconds)
        return ends

    def close(self):
        for talker in self.talkers:
            talker.close()


def audit(loop, ledger, place, rng, rooms, ends, seconds=2 * DEADLINE, name="auditor"):
    """Somebody new reads every room from its first message on: the same, to the end, and nothing that was acknowledged lacks."""
    reader = Talker(loop, ledger, place, name, rng, rooms, silent=True)
    loop.run_until(lambda: all(reader.last[room] >= ends.get(room, 0) for room in reader.rooms),
                   lambda: f"an auditor to read up to {ends}; it is at {reader.last}", seconds)
    reader.close()
    ledger.check()
