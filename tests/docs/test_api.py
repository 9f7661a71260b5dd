"""
docs/openapi.yaml and docs/asyncapi.yaml are true: what they describe is there, as they describe it, and nothing else is.

Each operation of openapi.yaml is requested with the examples of its parameters and its body, and has to be answered as its first
response says. Each of its other responses has an 'x-request', which says what is different in a request that is answered so:
'path', 'query', 'headers' (null: left out), 'body'; 'again': the first request comes before; 'etag': the ETag of the first
answer is sent back; 'long': a body of so many bytes.
"""

import base64
import copy
import http.client
import json
import os
import re
import sys
import tempfile
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "talk"))

import description  # noqa: E402
import events  # noqa: E402
import talk  # noqa: E402

METHODS = ("get", "post", "put", "delete", "patch")
PASSWORD = "open sesame"
# What it takes a disk that fails to see: tests/talk/test_metrics.py.
NOT_PROVOKED = {("say", "503"), ("isReady", "503")}


# ---- openapi.yaml ----


def operations(api):
    for path, item in api["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                yield path, method, operation, item.get("parameters", []) + operation.get("parameters", [])


def responses():
    for path, method, operation, parameters in operations(description.read("openapi.yaml")):
        for status, response in operation["responses"].items():
            yield path, method, operation, parameters, status, response


class Request:
    """What an operation's examples ask for."""

    def __init__(self, path, method, operation, parameters):
        self.method, self.path = method.upper(), path
        self.places = {"path": {}, "query": {}, "header": {}}
        for parameter in parameters:
            if "example" in parameter:
                self.places[parameter["in"]][parameter["name"]] = parameter["example"]
        self.body = None
        content = operation.get("requestBody", {}).get("content", {})
        for kind, media in content.items():
            if self.body is None and "example" in media:
                self.set_body(kind, media["example"])

    def set_body(self, kind, body):
        self.body = body if isinstance(body, str) else json.dumps(body)
        self.places["header"]["Content-Type"] = kind

    def change(self, changes):
        for word, place in (("path", "path"), ("query", "query"), ("headers", "header")):
            self.places[place].update(changes.get(word, {}))
        if isinstance(changes.get("body"), dict):
            self.set_body("application/json", changes["body"])
        elif "body" in changes:
            self.set_body("text/plain", changes["body"])
        if "long" in changes:
            self.set_body("text/plain", "x" * changes["long"])

    def send(self, server):
        """The answer, with its 'text'; of a stream, of which there is no end, the beginning."""
        connection = http.client.HTTPConnection(*server.places[0], timeout=talk.DEADLINE)
        path = self.path
        for name, value in self.places["path"].items():
            path = path.replace("{%s}" % name, urllib.parse.quote(str(value), safe=""))
        query = {name: value for name, value in self.places["query"].items() if value is not None}
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = {name: str(value) for name, value in self.places["header"].items() if value is not None}
        connection.request(self.method, path, self.body, headers)
        answer = connection.getresponse()
        endless = answer.status == 101 or (path.split("?")[0].endswith("/stream") and answer.status == 200)
        answer.text = answer.read1(1) if endless and answer.status == 200 else b"" if endless else answer.read()
        connection.close()
        answer.close()
        return answer


def prepared_server(stack):
    """A server with the room ops, in which something was said."""
    file = stack.enter_context(tempfile.NamedTemporaryFile("w"))
    file.write(PASSWORD + "\n")
    file.flush()
    server = stack.enter_context(talk.Server("--admin-password-file", file.name))
    connection = http.client.HTTPConnection(*server.places[0], timeout=talk.DEADLINE)
    connection.request("POST", "/rooms", json.dumps({"name": "ops"}),
                       {"Content-Type": "application/json", "Chat-Session": "00112233445566778899aabbccddeeff"})
    answer = connection.getresponse()
    assert answer.status == 201, (answer.status, answer.read())
    answer.read()
    for i in range(3):
        connection.request("POST", "/rooms/ops/messages?name=bob", f"line {i}", {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert answer.status == 201, (answer.status, answer.read())
        answer.read()
    connection.close()
    return server


def look_at_events(value):
    """Each message in a body is an event, too."""
    if isinstance(value, dict) and "seq" in value and "kind" in value:
        wrong = events.faults(value, events.SCHEMA)
        assert not wrong, wrong
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        look_at_events(part)


def compare(answer, status, response, what):
    text = answer.text if isinstance(answer.text, str) else answer.text.decode("utf-8", "replace")
    assert answer.status == int(status), f"{what}: {answer.status} instead of {status}: {text[:500]}"
    for name, header in response.get("headers", {}).items():
        value = answer.getheader(name)
        assert value is not None, f"{what}: there is no header {name}"
        value = int(value) if header["schema"].get("type") == "integer" else value
        assert not description.faults(value, header["schema"]), f"{what}: {name}: {value}"
    content = response.get("content")
    if not content:
        assert text == "", f"{what}: there is a body: {text[:500]}"
        return
    kind = (answer.getheader("Content-Type") or "").split(";")[0].strip()
    assert kind in content, f"{what}: the type is {kind!r}, not one of {list(content)}"
    if status == "200" and answer.is_stream:
        return
    value = json.loads(text) if kind == "application/json" else text
    wrong = description.faults(value, content[kind]["schema"])
    assert not wrong, f"{what}: {wrong}\n{text[:2000]}"
    look_at_events(value)


def run(path, method, operation, parameters, status, response):
    from contextlib import ExitStack

    changes = response.get("x-request", {})
    what = f"{operation['operationId']}, {status}"
    with ExitStack() as stack:
        server = prepared_server(stack)
        first = Request(path, method, operation, parameters)
        request = copy.deepcopy(first)
        request.change(changes)
        if changes.get("again"):
            answer = first.send(server)
            assert answer.status == 201, (what, answer.status)
        if changes.get("etag"):
            request.places["header"]["If-None-Match"] = first.send(server).getheader("ETag")
        kinds = list(response.get("content", {None: None})) if status == "200" else [None]
        for kind in kinds:
            if kind is not None and len(kinds) > 1:
                request.places["header"]["Accept"] = kind
            answer = request.send(server)
            answer.is_stream = path.endswith("/stream")
            compare(answer, status, response, what)
            if kind is not None:
                assert answer.getheader("Content-Type").split(";")[0] == kind, (what, kind, answer.getheader("Content-Type"))


def test_openapi_is_whole():
    api = description.read("openapi.yaml")
    assert api["openapi"].startswith("3.1")
    names = [operation["operationId"] for _, _, operation, _ in operations(api)]
    assert len(names) == len(set(names)), names
    for path, _, operation, parameters in operations(api):
        places = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert places == set(re.findall(r"{(\w+)}", path)), path
        first = next(iter(operation["responses"]))
        assert first.startswith("2") or first == "101", (path, first)
        for status, response in operation["responses"].items():
            provoked = status == first or "x-request" in response
            assert provoked != ((operation["operationId"], status) in NOT_PROVOKED), (path, status)
        for parameter in parameters:
            if "example" in parameter:
                assert not description.faults(parameter["example"], parameter["schema"]), parameter


def test_each_route_of_the_server_is_described():
    with open(os.path.join(ROOT, "tcpserver", "doors", "http_route.c"), encoding="utf-8") as file:
        routes = set(re.findall(r'^\t{"([A-Z]+)", "([^"]+)", \w+},$', file.read(), re.MULTILINE))
    described = {(method.upper(), re.sub(r"{\w+}(\.txt)?", "*", path))
                 for path, method, _, _ in operations(description.read("openapi.yaml"))}
    assert routes == described, routes ^ described


def test_the_server_has_its_own_description():
    with talk.Server() as server, open(os.path.join(ROOT, "docs", "openapi.yaml"), "rb") as file:
        connection = http.client.HTTPConnection(*server.places[0], timeout=talk.DEADLINE)
        connection.request("GET", "/openapi.yaml")
        assert connection.getresponse().read() == file.read()
        connection.close()


def test_each_operation_is_answered_as_described():
    for path, method, operation, parameters, status, response in responses():
        if status == next(iter(operation["responses"])):
            run(path, method, operation, parameters, status, response)


def test_each_other_answer_is_as_described():
    for path, method, operation, parameters, status, response in responses():
        if status != next(iter(operation["responses"])) and "x-request" in response:
            run(path, method, operation, parameters, status, response)


def test_each_kind_of_body_is_understood():
    from contextlib import ExitStack

    for path, method, operation, parameters in operations(description.read("openapi.yaml")):
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            with ExitStack() as stack:
                request = Request(path, method, operation, parameters)
                request.set_body(kind, media.get("example", "build failed"))
                answer = request.send(prepared_server(stack))
                assert answer.status == 201, (path, kind, answer.status, answer.text)


def test_an_administrator_may_close_a_room_as_described():
    from contextlib import ExitStack

    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    for scheme in (f"Bearer {PASSWORD}", f"Basic {basic}"):
        with ExitStack() as stack:
            server = prepared_server(stack)
            for path, method, operation, parameters in operations(description.read("openapi.yaml")):
                if operation["operationId"] == "closeRoom":
                    request = Request(path, method, operation, parameters)
                    request.change({"headers": {"Chat-Session": None, "Authorization": scheme}})
                    answer = request.send(server)
                    assert answer.status == 204, (scheme, answer.status, answer.text)


# ---- asyncapi.yaml ----


def test_asyncapi_is_whole():
    api = description.read("asyncapi.yaml")
    assert api["asyncapi"] == "3.0.0"
    for name, message in api["components"]["messages"].items():
        for example in message.get("examples", []):
            wrong = description.faults(example["payload"], message["payload"])
            assert not wrong, (name, example, wrong)
    for name, operation in api["operations"].items():
        assert operation["action"] in ("send", "receive"), name
        for message in operation["messages"]:
            assert message in operation["channel"]["messages"].values(), name
    described = {path for path in description.read("openapi.yaml")["paths"]}
    for channel in api["channels"].values():
        assert channel["address"] is None or channel["address"] in described, channel["address"]


def described_requests():
    """The ops that PROTOCOL.md has."""
    with open(os.path.join(ROOT, "docs", "PROTOCOL.md"), encoding="utf-8") as file:
        rows = file.read().split("| `op` | Fields", 1)[1].split("\n\n", 1)[0]
    return {name for row in rows.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


def test_the_requests_of_asyncapi_are_answered():
    request = description.read("asyncapi.yaml")["components"]["messages"]["request"]
    examples = [example["payload"] for example in request["examples"]]
    named = set()
    for part in request["payload"]["properties"]["op"]["enum"]:
        named.add(part)
    assert named == {example["op"] for example in examples} == described_requests()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(PASSWORD + "\n")
        file.flush()
        with talk.Server("--admin-password-file", file.name, journal="sqlite:chat.db") as server:
            server.join("ann")
            bob = events.Events(server.connect(), begin=json.dumps(examples[0]))
            for example in examples[1:]:
                bob.say(json.dumps(example))
                answer = bob.until(id=example["id"])[-1]
                assert answer["kind"] != "error", (example, answer)
            bob.client.expect_end()


if __name__ == "__main__":
    talk.main()
