"""The log: who came and went, from where and why; never what was said."""

import json
import os
import re
import tempfile

from talk import GREETING, Server, main

SECRET = "meet me at the old mill"


def conversation(server):
    bob = server.join("bob")
    address = bob.address
    bob.say(SECRET)
    bob.expect(f"bob: {SECRET}")
    bob.say("/quit")
    bob.expect("* Goodbye bob.")
    bob.expect_end()
    return address


def test_the_log_tells_who_came_and_went_and_from_where():
    with Server() as server:
        address = conversation(server)
        server.stop()
        came = server.log.find(rf'joined.*"bob".*"{re.escape(address)}"')
        went = server.log.find(rf'left.*"bob".*"{re.escape(address)}"')
        assert came and went, server.log.text()


def test_the_log_tells_why_somebody_left():
    with Server() as server:
        ann = server.join("ann")
        bob = server.join("bob")
        carol = server.join("carol")
        bob.reset()
        carol.half_close()
        server.log.wait(r'left.*"bob".*(lost|reset)')
        server.log.wait(r'left.*"carol".*(normally|closed|left)')
        ann.say("/quit")
        server.log.wait(r'left.*"ann".*(normally|quit|left)')


def test_the_log_warns_of_a_journal_that_others_may_read():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chat.db")
        for mode, warns in ((None, False), (0o600, False), (0o644, True)):
            if mode is not None:
                os.chmod(path, mode)
            with Server(journal=f"sqlite:{path}") as server:
                server.stop()
                found = server.log.find(rf"warning.*journal-open-to-others.*{re.escape(path)}.*0644.*chmod 600")
                assert bool(found) == warns, (mode, server.log.text())


def test_the_log_never_tells_what_was_said():
    for level in ("info", "warning", "error"):
        with Server("--log-level", level) as server:
            conversation(server)
            server.stop()
            assert SECRET not in server.log.text() and SECRET not in server.output.text()


def test_at_level_debug_the_log_warns_that_it_tells_what_is_said():
    with Server("--log-level", "debug") as server:
        conversation(server)
        server.stop()
        text = server.log.text()
        assert re.search(r"warning.*what people say is logged", text), text[:2000]
        assert text.index("warning") < text.index("joined"), "the warning has to come first"


def test_the_log_at_level_warning_has_no_comings_and_goings():
    with Server("--log-level", "warning") as server:
        conversation(server)
        server.stop()
        assert "joined" not in server.log.text()


def test_each_line_of_the_json_log_is_an_object():
    with Server("--log-format", "json", "--log-level", "debug") as server:
        address = conversation(server)
        broken = server.connect()
        broken.raw(b'"\\\x01\xc3\n')
        broken.rest()
        server.stop()
        objects = [json.loads(line) for line in server.log.lines]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["at"]) for entry in objects)
        assert all(entry["level"] in ("error", "warning", "info", "debug") for entry in objects)
        assert all(isinstance(entry["event"], str) for entry in objects)
        assert any("bob" in entry.values() and address in entry.values() for entry in objects), objects


def test_each_line_of_the_text_log_has_time_level_and_event():
    with Server() as server:
        conversation(server)
        server.stop()
        for line in server.log.lines:
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) \S", line), line


def test_a_name_cannot_forge_a_line_of_the_log():
    with Server() as server:
        client = server.connect()
        client.expect(GREETING)
        client.raw(b"x\r2026-01-01T00:00:00.000Z info joined name=\"root\"\n")
        client.line()
        client.half_close()
        client.rest()
        server.stop()
        assert not [line for line in server.log.lines if 'name="root"' in line], server.log.text()


def test_refused_clients_are_in_the_log():
    with Server("--max-clients", "1") as server:
        server.join("ann")
        late = server.connect()
        late.rest()
        server.log.wait(r"turned away .*as many clients as allowed")


def test_the_log_tells_that_the_server_starts_and_stops():
    with Server() as server:
        server.stop()
        assert server.log.find(r"listen"), server.log.text()
        assert server.log.find(r"stop"), server.log.text()


if __name__ == "__main__":
    main()
