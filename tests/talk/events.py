"""
Event mode in conversations: a client that sends requests and gets events, each of which is held against
docs/events.schema.json by a small validator, which knows just those words of JSON Schema that the file uses.
"""

import json
import re
from pathlib import Path

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "events.schema.json").read_text(encoding="utf-8"))
TYPES = {"string": str, "integer": int, "object": dict}


def is_of_type(value, name):
    return isinstance(value, TYPES[name]) and not isinstance(value, bool)


def faults(value, schema, root=SCHEMA):
    """Why the value is not as the schema says: a list of texts, empty when it is."""
    found = []
    for word, wanted in schema.items():
        if word in ("$schema", "title", "description", "$defs"):
            continue
        if word == "$ref":
            found += faults(value, root["$defs"][wanted.removeprefix("#/$defs/")], root)
        elif word == "oneOf":
            matches = [part for part in wanted if not faults(value, part, root)]
            if len(matches) != 1:
                found.append(f"{value!r} fits {len(matches)} of the {len(wanted)} kinds instead of one: {matches}")
        elif word == "type":
            names = [wanted] if isinstance(wanted, str) else wanted
            if not any(is_of_type(value, name) for name in names):
                found.append(f"{value!r} is no {wanted}")
        elif word == "const":
            if value != wanted:
                found.append(f"{value!r} is not {wanted!r}")
        elif word == "enum":
            if value not in wanted:
                found.append(f"{value!r} is none of {wanted!r}")
        elif word == "minimum":
            if not isinstance(value, int) or value < wanted:
                found.append(f"{value!r} is less than {wanted}")
        elif word == "minLength":
            if not isinstance(value, str) or len(value) < wanted:
                found.append(f"{value!r} is shorter than {wanted}")
        elif word == "maxLength":
            if not isinstance(value, str) or len(value) > wanted:
                found.append(f"{value!r} is longer than {wanted}")
        elif word == "pattern":
            if not isinstance(value, str) or not re.search(wanted, value):
                found.append(f"{value!r} does not match {wanted!r}")
        elif word == "required":
            found += [f"{name!r} is missing in {value!r}" for name in wanted
                      if not isinstance(value, dict) or name not in value]
        elif word == "properties":
            for name, part in wanted.items():
                if isinstance(value, dict) and name in value:
                    found += faults(value[name], part, root)
        elif word == "additionalProperties":
            assert wanted is False
            if isinstance(value, dict):
                found += [f"{name!r} is unknown in {value!r}" for name in value if name not in schema["properties"]]
        else:
            raise AssertionError(f"the validator does not know {word!r}")
    return found


def no_doubles(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a field comes twice: {names}"
    return dict(pairs)


def parse_event(line):
    event = json.loads(line, object_pairs_hook=no_doubles)
    wrong = faults(event, SCHEMA)
    assert not wrong, "\n".join(wrong)
    return event


class Events:
    """A client in event mode; 'client' has joined, and has no line left to read; or it begins with this request."""

    def __init__(self, client, room="lobby", begin="/events"):
        self.client = client
        self.seen = []  # kinds
        client.say(begin)
        self.welcome = self.expect(kind="welcome", room=room)

    def say(self, text):
        self.client.say(text)

    def ask(self, op, **fields):
        """Sends a request."""
        self.client.say(json.dumps({"op": op, **fields}))

    def event(self):
        event = parse_event(self.client.line())
        self.seen.append(event["kind"])
        return event

    def expect(self, **fields):
        """The next event has to have these fields (a text may be a compiled pattern), and none of those that are None."""
        event = self.event()
        for name, wanted in fields.items():
            got = event.get(name)
            if isinstance(wanted, re.Pattern):
                assert isinstance(got, str) and wanted.fullmatch(got), f"{name} is not like {wanted.pattern!r}: {event}"
            else:
                assert got == wanted, f"{name} is not {wanted!r}: {event}"
        return event

    def until(self, **fields):
        """All events up to the first that has these fields, that one included."""
        events = []
        while True:
            events.append(self.event())
            if all(events[-1].get(name) == wanted for name, wanted in fields.items()):
                return events


def join_events(server, name):
    return Events(server.join(name))


def come_back(server, name, session, **fields):
    """A client that begins with its session id, of 32 hex digits."""
    return Events(server.connect(), begin=json.dumps({"op": "session", "session": session, "name": name, **fields}))
