"""
tcpchat.v1.Chat, our own service, in conversations: what Events (events.py) is for event mode in JSON.

        ann = talk(server, "ann")
        ann.ask("send", text="hello", id=1)
        ann.expect("NOTICE", code="said", id=1)
        ann.expect("MESSAGE", participant="ann", text="hello")
"""

import functools
import os
import re
import sys
import traceback

from grpc_client import Channel, message, protos
from talk import Skip, skip

SERVICE = "tcpchat.v1.Chat"


def alone(test, *arguments):
    """Runs a test in a process of its own; returns its exit code."""
    sys.stdout.flush()
    child = os.fork()
    if child != 0:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        test(*arguments)
        code = 0
    except Skip as reason:
        print(reason)
        code = 77
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def on_each_journal(test):
    """As that of talk.py, but each in a process of its own: gRPC's library, once used, does not bear that a server is started."""
    @functools.wraps(test)
    def run():
        for journal in ("memory", "sqlite:chat.db"):
            print(f"with --journal {journal}:", flush=True)
            code = alone(test, journal)
            if code == 77:
                skip("see above")
            assert code == 0, f"it ended with {code}"
    return run


def service(server, **options):
    """A connection of its own, and the methods of the service over it."""
    return Channel(server, **options).service(SERVICE)


def request(op, id=0, **fields):
    """A request whose 'op' has these fields."""
    whole = protos().kind("tcpchat.v1.Request")(id=id)
    getattr(whole, op).SetInParent()
    kind = protos().kind(whole.DESCRIPTOR.fields_by_name[op].message_type.full_name)
    getattr(whole, op).CopyFrom(kind(**fields))
    return whole


def kind_of(event):
    return event.DESCRIPTOR.enum_types_by_name["Kind"].values_by_number[event.kind].name.removeprefix("KIND_")


class Events:
    """A stream of events: of Talk, or of Subscribe."""

    def __init__(self, stream):
        self.stream = stream
        self.seen = []  # kinds

    def event(self):
        event = self.stream.next()
        self.seen.append(kind_of(event))
        return event

    def expect(self, kind, **fields):
        """The next event is of that kind, and has these fields (a text may be a compiled pattern)."""
        event = self.event()
        assert kind_of(event) == kind, f"{kind} {fields} was expected: {event}"
        for name, wanted in fields.items():
            got = getattr(event, name)
            if isinstance(wanted, re.Pattern):
                assert wanted.fullmatch(got), f"{name} is not like {wanted.pattern!r}: {event}"
            else:
                assert got == wanted, f"{name} is not {wanted!r}: {event}"
        return event

    def until(self, kind, **fields):
        """All events up to the first of that kind that has these fields, that one included."""
        events = []
        while True:
            events.append(self.event())
            if kind_of(events[-1]) == kind and all(getattr(events[-1], name) == wanted for name, wanted in fields.items()):
                return events

    def texts_until(self, last):
        """The texts of all messages up to the one that is 'last'."""
        texts = []
        while not texts or texts[-1] != last:
            event = self.event()
            if kind_of(event) == "MESSAGE":
                texts.append(event.text)
        return texts

    def expect_end(self, code="OK", words=None):
        self.stream.expect_end(code, words)


class Talk(Events):
    """A call of Talk, which has said nothing yet."""

    def __init__(self, methods, **options):
        super().__init__(methods.Talk(**options))

    def ask(self, op, id=0, **fields):
        self.stream.send_message(request(op, id, **fields))

    def come(self, name, **fields):
        """Says 'session', with these fields; returns itself."""
        self.ask("session", name=name, **fields)
        self.welcome = self.expect("WELCOME")
        return self

    def keep(self, text, id, **fields):
        """Says something; returns the number under which it is kept. Its event may come before or after."""
        self.ask("send", id, text=text, **fields)
        return self.until("NOTICE", code="said", id=id)[-1].seq

    def say(self, *texts):
        """Says these, and has read each."""
        for text in texts:
            self.ask("send", text=text)
            self.until("MESSAGE", text=text)

    def is_alive(self):
        """It is answered, after whatever else comes before."""
        self.ask("ping", text="are you there?")
        self.until("PONG", text="are you there?")


def talk(server, name, **fields):
    """One who is in."""
    return Talk(service(server)).come(name, **fields)


__all__ = ["Events", "Talk", "kind_of", "message", "on_each_journal", "request", "service", "talk"]
