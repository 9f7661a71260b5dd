"""Metrics and health, as an operator's programs see them: /metrics, /livez, /readyz."""

import http.client
import json
import re
from pathlib import Path

from faults import FaultyServer
from talk import DEADLINE, Server, main, on_each_journal, pump, wait_for

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = rf'{NAME}="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)")
FAMILIES = ("counter", "gauge", "histogram")


def get(server, path, method="GET"):
    """Status, type and body."""
    connection = http.client.HTTPConnection(*server.places[0], timeout=DEADLINE)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.getheader("Content-Type"), body


def check_histogram(name, samples):
    """Buckets grow up to the last one, which is the count."""
    buckets = [(key, value) for key, value in samples.items() if key.startswith(f"{name}_bucket{{")]
    bounds = [float(re.search(r'le="([^"]+)"', key).group(1)) for key, _ in buckets]
    assert bounds == sorted(bounds) and bounds[-1] == float("inf"), bounds
    values = [value for _, value in buckets]
    assert values == sorted(values), values
    assert values[-1] == samples[f"{name}_count"], (name, values)
    assert f"{name}_sum" in samples


def parse(text):
    """The samples of the text, each line of which is looked at. Source: prometheus.io, "Exposition formats"."""
    assert text.endswith("\n")
    samples, types, helped, current = {}, {}, set(), None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert current not in helped and len(line.split(" ", 3)) == 4, line
            helped.add(current)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current and name not in types and kind in FAMILIES, line
            types[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, f"no line of the format: {line!r}"
            name, labels, value = match.groups()
            family = re.sub("_(bucket|sum|count)$", "", name) if types.get(current) == "histogram" else name
            assert family == current and family in types, f"{line!r} stands under {current}"
            assert (types[family] == "counter") == name.endswith("_total") or types[family] == "histogram", line
            key = name if labels is None else f"{name}{{{labels}}}"
            assert key not in samples, f"{key} comes twice"
            samples[key] = float(value)
    for name, kind in types.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def metrics(server):
    status, kind, body = get(server, "/metrics")
    assert status == 200 and kind.startswith("text/plain; version=0.0.4"), (status, kind)
    return parse(body)


def wait_for_metric(server, key, wanted):
    wait_for(lambda: metrics(server)[key] == wanted, f"{key} to be {wanted}; it is {metrics(server)[key]}")


def ready(server):
    return get(server, "/readyz")


@on_each_journal
def test_what_people_do_is_counted(journal):
    with Server(journal=journal) as server:
        before = metrics(server)
        assert before["chat_people"] == 0 and before["chat_rooms_open"] == 1 and before["chat_ready"] == 1
        ann = server.join("ann")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        for client in (ann, bob):
            client.say("hello")
            client.say("/me waves")
        for client in (ann, bob):
            client.bytes(len("ann: hello\n~ ann waves\nbob: hello\n~ bob waves\n"))
        now = metrics(server)
        for kind, count in (("joined", 2), ("message", 2), ("action", 2), ("left", 0)):
            key = f'chat_messages_total{{kind="{kind}"}}'
            assert now[key] - before[key] == count, (key, now[key])
        assert now["chat_people"] == 2
        assert now['chat_connections{door="line"}'] == 2
        assert now["chat_connections_accepted_total"] - before["chat_connections_accepted_total"] == 3  # and this request's
        assert now["chat_bytes_received_total"] - before["chat_bytes_received_total"] > len("ann\nbob\n") + 2 * len("hello\n/me waves\n")
        assert now["chat_bytes_sent_total"] - before["chat_bytes_sent_total"] > 4 * len("ann: hello\n~ ann waves\n")
        assert now["chat_delivery_seconds_count"] > before["chat_delivery_seconds_count"]
        ann.say("/events")
        ann.line()
        wait_for_metric(server, 'chat_connections{door="event"}', 1)
        wait_for_metric(server, 'chat_connections{door="line"}', 1)
        ann.say("/join tea")
        wait_for_metric(server, "chat_rooms_open", 2)
        ann.close()
        bob.close()
        wait_for_metric(server, "chat_people", 0)
        wait_for_metric(server, 'chat_connections{door="event"}', 0)
        wait_for_metric(server, 'chat_connections{door="line"}', 0)
        wait_for_metric(server, 'chat_messages_total{kind="left"}', 3)


UPGRADE = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
DOORS = {
    "websocket": f"GET /chat/join?name=ann HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
    "go-chat": f"GET / HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n",
    "sse": "GET /rooms/lobby/stream?format=sse HTTP/1.1\r\nHost: x\r\n\r\n",
    "jsonl": "GET /rooms/lobby/stream?format=jsonl HTTP/1.1\r\nHost: x\r\n\r\n",
    "text": "GET /rooms/lobby/stream?format=text HTTP/1.1\r\nHost: x\r\n\r\n",
    "http": "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n",
    "line": "bob\n",
    "event": "carl\n/events\n",
    "sniff": "",
}


def test_each_door_is_counted_by_its_name():
    with Server() as server:
        for door, beginning in DOORS.items():
            wait_for_metric(server, 'chat_connections{door="http"}', 1)  # this request's; those before it take a moment to go
            before = metrics(server)
            client = server.connect()
            client.raw(beginning.encode())
            wait_for_metric(server, f'chat_connections{{door="{door}"}}', 2 if door == "http" else 1)
            after = metrics(server)
            assert after['chat_connections{door="other"}'] == 0
            client.close()
            wait_for_metric(server, f'chat_connections{{door="{door}"}}', before[f'chat_connections{{door="{door}"}}'])


def test_commits_are_timed():
    with Server(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        ann.say("hello")
        ann.expect("ann: hello")
        now = metrics(server)
        assert now["chat_commit_seconds_count"] >= 2, now["chat_commit_seconds_count"]
        assert now["chat_commit_messages_sum"] == 2
        assert 0 < now["chat_commit_seconds_sum"] < DEADLINE
        assert 0 < now["chat_delivery_seconds_sum"] < DEADLINE


def test_who_is_turned_away_is_counted():
    with Server("--max-clients", "2") as server:
        watcher = http.client.HTTPConnection(*server.places[0], timeout=DEADLINE)
        watcher.request("GET", "/livez")
        assert watcher.getresponse().read() == b"ok\n"
        server.join("ann")
        for _ in range(3):
            assert server.connect().rest()[0].startswith("! server-full: ")
        watcher.request("GET", "/metrics")
        now = parse(watcher.getresponse().read().decode())
        watcher.close()
        assert now['chat_connections_refused_total{reason="server-full"}'] == 3
        assert now["chat_connections_accepted_total"] == 5


def test_who_is_far_behind_is_counted():
    with Server("--lag-memory", "64K", journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=4096)
        ann.expect('User "bob" just joined the chat!')
        for i in range(6000):
            ann.say(f"{i} {'x' * 1000}")
            ann.expect(re.compile(f"ann: {i} x+"))
        now = metrics(server)
        assert now["chat_readers_behind"] == 1
        assert 100 < now["chat_lag_messages_max"] <= 6000, now["chat_lag_messages_max"]
        pump([bob], lambda client: client.buffer.endswith(b"x\n") and b"ann: 5999 " in client.buffer)
        wait_for_metric(server, "chat_readers_behind", 0)
        assert metrics(server)["chat_lag_messages_max"] == 0


def test_requests_are_counted_by_their_code():
    with Server() as server:
        for path in ("/ping", "/ping", "/nowhere"):
            get(server, path)
        now = metrics(server)
        assert now['chat_http_requests_total{code="200"}'] == 2, now
        assert now['chat_http_requests_total{code="404"}'] == 1, now
        wait_for(lambda: metrics(server)['chat_connections{door="http"}'] == 1, "the asking connection to be the only one")


def test_the_process_is_told():
    with Server("--max-clients", "100") as server:
        clients = [server.join(f"member{i}") for i in range(10)]
        now = metrics(server)
        assert len(clients) < now["process_threads"] <= server.threads() + 2  # those that answered may have ended
        assert abs(now["process_open_fds"] - server.descriptors()) < 10
        assert now["process_open_fds"] >= len(clients)
        assert now["process_max_fds"] >= 100
        assert now["process_resident_memory_bytes"] > 1 << 20
        assert now["process_start_time_seconds"] > 1.7e9
        assert any(key.startswith("chat_build_info{version=") for key in now)


def test_a_server_whose_disk_is_full_is_not_ready_and_gets_ready_without_anybody_speaking():
    with FaultyServer(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        assert ready(server)[0] == 200
        server.faults.write_fails = 1000000
        ann.say("hello")
        assert ann.line().startswith("! not-stored: ")
        status, _, body = ready(server)
        assert status == 503 and "disk is full" in body, (status, body)
        assert get(server, "/livez")[0] == 200
        now = metrics(server)
        assert now["chat_ready"] == 0 and now["chat_messages_refused_total"] == 1
        # The journal tries by itself, more than once, and stays not ready while that fails.
        failed = server.faults.write_failed
        wait_for(lambda: server.faults.write_failed > failed + 1, "the journal to try again")
        assert ready(server)[0] == 503
        server.mend()
        wait_for(lambda: ready(server)[0] == 200, "the server to be ready again")
        server.log.wait("journal-works-again")
        assert metrics(server)["chat_ready"] == 1
        ann.say("hello again")
        ann.expect("ann: hello again")


# ---- What is made of them. ----

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def expressions(value):
    if isinstance(value, dict):
        for name, part in value.items():
            if name in ("expr", "query") and isinstance(part, str):
                yield part
            else:
                yield from expressions(part)
    elif isinstance(value, list):
        for part in value:
            yield from expressions(part)


def test_the_dashboard_shows_metrics_that_there_are():
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    with Server() as server:
        get(server, "/ping")
        names = {key.split("{")[0] for key in metrics(server)}
    used = {name for text in expressions(dashboard) for name in re.findall(r"\b(?:chat|process)_\w+", text)}
    assert len(used) > 15, used
    assert used <= names, used - names
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


if __name__ == "__main__":
    main()
