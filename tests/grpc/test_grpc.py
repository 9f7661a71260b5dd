"""
gRPC as programs speak it that we did not write: @grpc/grpc-js, whose cases are in grpc.mjs, and buf curl, which knows the protos from
its own files or asks the server for them. Here is what has to be there before: node, and the packages of package.json from npm, in the
build folder.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
from pathlib import Path

import npm
from certificates import Certificates
from talk import _PR_SET_PDEATHSIG, _libc, BUILD_KIND, DEADLINE, Server, main

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
CASE_SECONDS = {"plain": 100, "asan": 300, "tsan": 500}.get(BUILD_KIND, 500)
SERVICES = ["MessageService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection", "rpc.ChatService", "tcpchat.v1.Chat"]
NOT_FOUND, INVALID_ARGUMENT, UNIMPLEMENTED = 5, 3, 12


def packages():
    return npm.packages(HERE, "grpc-npm", "@grpc/grpc-js and @bufbuild/buf")


def die_with_us():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@contextlib.contextmanager
def servers():
    """A server without TLS, and then one with it, each with the certificate that vouches for it: (server, certificate)."""
    with Certificates() as certificates:
        def one(secure):
            if not secure:
                return Server(journal="sqlite:chat.db"), None
            certificate, key = certificates.own("server")
            return Server("--tls-cert", certificate, "--tls-key", key, "--require-tls", journal="sqlite:chat.db"), certificate

        yield (one(secure) for secure in (False, True))


# ---- grpc-js. ----

def case(name):
    folder = packages()
    with servers() as each:
        for server, certificate in each:
            print(f"{name} {'through TLS' if certificate else 'plain'}:", flush=True)
            environment = dict(os.environ, PACKAGES=str(folder), PROTO=str(PROTO), PORT=str(server.port), PID=str(server.pid))
            if certificate:
                environment["CERTIFICATE"] = certificate
            with server:
                done = subprocess.run(["node", str(HERE / "grpc.mjs"), name], env=environment, stdin=subprocess.DEVNULL,
                                      timeout=CASE_SECONDS, check=False, preexec_fn=die_with_us)
                assert done.returncode == 0, f"{name}: exit code {done.returncode}"
                if name == "stop":
                    assert server.ended() == 0


def test_who_calls_talks_with_who_speaks_in_lines():
    case("lines")


def test_who_has_said_all_goes_on_hearing():
    case("half")


def test_rooms_are_made_listed_and_deleted():
    case("rooms")


def test_what_cannot_be_is_refused_in_the_words_of_the_predecessor():
    case("refusals")


def test_a_deadline_and_a_cancellation_end_a_call():
    case("deadlines")


def test_many_calls_share_a_connection():
    case("many")


def test_more_calls_than_a_connection_takes_wait():
    case("crowded")


def test_texts_have_the_sizes_that_lines_have():
    case("sizes")


def test_who_reads_late_gets_all():
    case("slow")


def test_the_health_is_told():
    case("health")


def test_our_own_service_is_spoken():
    case("ours")


def test_a_server_that_stops_says_so():
    case("stop")


# ---- buf curl. ----

class Buf:
    def __init__(self, server, certificate, *options):
        self.folder = packages()
        self.home = tempfile.TemporaryDirectory(prefix="tcpchat-buf-")
        self.base = f"{'https' if certificate else 'http'}://127.0.0.1:{server.port}"
        # Without this option it offers HTTP/1.1, too, which a server then takes that has web pages.
        self.options = [*options, "--http2-prior-knowledge", *(["--cacert", certificate] if certificate else [])]

    def start(self, *arguments, path=""):
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment.update(HOME=self.home.name, BUF_CACHE_DIR=self.home.name)
        return subprocess.Popen(
            [str(self.folder / "node_modules" / ".bin" / "buf"), "curl", "--protocol", "grpc", *self.options, *arguments, self.base + path],
            env=environment, cwd=self.home.name, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=die_with_us)

    def run(self, *arguments, path=""):
        process = self.start(*arguments, path=path)
        output, errors = process.communicate(timeout=DEADLINE)
        return process.returncode, output, errors

    def call(self, method, **request):
        """The answer of a call that must end well."""
        code, output, errors = self.run("--data", json.dumps(request), path=f"/{method}")
        assert code == 0, f"{method}: {code}, {errors}"
        return json.loads(output)

    def fails(self, code, words, method, **request):
        got, output, errors = self.run("--data", json.dumps(request), path=f"/{method}")
        assert got == code << 3 and words in errors, f"{method}: {got}, {output}, {errors}"


FROM_FILES, BY_REFLECTION, BY_OLD_REFLECTION = ("--schema", str(PROTO)), ("--reflect",), ("--reflect-protocol", "grpc-v1alpha")


def in_each_way(test):
    """With the protos from their files and from the server, plain and through TLS."""
    packages()
    with servers() as each:
        for (server, certificate), ways in zip(each, ((FROM_FILES, BY_REFLECTION), (BY_OLD_REFLECTION,))):
            with server:
                for way in ways:
                    print(f"buf curl {' '.join(way)} {'through TLS' if certificate else 'plain'}:", flush=True)
                    test(server, Buf(server, certificate, *way))


def test_buf_lists_what_there_is():
    packages()
    with servers() as each:
        for server, certificate in each:
            with server:
                for way in (BY_REFLECTION, BY_OLD_REFLECTION):
                    buf = Buf(server, certificate, *way)
                    code, output, errors = buf.run("--list-services")
                    assert code == 0 and sorted(output.split()) == SERVICES, (way, code, output, errors)
                    code, output, errors = buf.run("--list-methods")
                    assert code == 0, (way, code, errors)
                    for method in ("rpc.ChatService/Chat", "rpc.ChatService/ListChatRooms", "grpc.health.v1.Health/Watch",
                                   "tcpchat.v1.Chat/Talk", "MessageService/FindAll"):
                        assert method in output, (method, output)


def test_buf_calls():
    def calls(server, buf):
        assert buf.call("grpc.health.v1.Health/Check") == {"status": "SERVING"}
        assert buf.call("grpc.health.v1.Health/Check", service="rpc.ChatService") == {"status": "SERVING"}
        buf.fails(NOT_FOUND, "unknown service", "grpc.health.v1.Health/Check", service="rpc.Catalog")
        room = buf.call("rpc.ChatService/CreateChatRoom")["roomId"]
        assert {"roomId": room} in buf.call("rpc.ChatService/ListChatRooms")["chatRooms"]
        assert buf.call("rpc.ChatService/DeleteChatRoom", roomId=room) == {"roomId": room}
        buf.fails(NOT_FOUND, "chat room ID does not exist", "rpc.ChatService/DeleteChatRoom", roomId=room)
        sent = buf.call("tcpchat.v1.Chat/Send", name="ann", text="hello from buf")
        assert sent["name"] == "ann" and sent["room"] == "lobby", sent
        assert {"username": "ann", "message": "hello from buf"} in buf.call("MessageService/FindAll")["data"]
        buf.fails(NOT_FOUND, "", "tcpchat.v1.Chat/GetRoom", room="nowhere")
        buf.fails(INVALID_ARGUMENT, "", "tcpchat.v1.Chat/Send", name="ann", text="")

    in_each_way(calls)


def test_buf_chats_until_the_room_is_deleted():
    def chats(server, buf):
        room = buf.call("rpc.ChatService/CreateChatRoom")["roomId"]
        other = buf.start("--data", "\n".join(map(json.dumps, (
            {"join": {"roomId": room, "name": "bob"}}, {"message": {"message": "hi"}}))), path="/rpc.ChatService/Chat")
        decoder, heard = json.JSONDecoder(), ""

        def until(text):
            nonlocal heard
            while text not in heard:
                line = other.stdout.readline()
                assert line, f"buf ended before {text!r}: {heard!r} {other.stderr.read()}"
                heard += line

        until("Has entered the chat")
        assert buf.call("tcpchat.v1.Chat/Send", name="ann", room=room, text="hello")["room"]
        until("hello")
        buf.call("rpc.ChatService/DeleteChatRoom", roomId=room)
        heard += other.stdout.read()
        assert other.wait(DEADLINE) == 0, other.stderr.read()
        messages = []
        while heard.strip():
            message, end = decoder.raw_decode(heard.lstrip())
            heard = heard.lstrip()[end:]
            messages.append((message["name"], message["message"]))
        assert messages == [("bob", "Has entered the chat"), ("ann", "hello"), ("chat server", "chat room is closing")], messages

    in_each_way(chats)


def examples(path):
    """Each command "$ buf curl ..." of a document, with the answer in the line after it."""
    lines = (HERE.parents[1] / path).read_text(encoding="utf-8").splitlines()
    for command, answer in zip(lines, [*lines[1:], ""]):
        if command.startswith("    $ buf curl "):
            yield shlex.split(command)[3:], json.loads(answer)


def test_buf_does_what_the_documents_say():
    packages()
    with Server() as server:
        Buf(server, None).call("tcpchat.v1.Chat/Send", room="ops", name="ci", text="build failed")
        found = [*examples("docs/PROTOCOL.md"), *examples("README.md")]
        assert found
        for arguments, wanted in found:
            base, path = arguments[-1].split("localhost:7777")
            assert base == "http://"
            code, output, errors = Buf(server, None).run(*arguments[:-1], path=path)
            assert code == 0, (arguments, code, errors)
            assert json.loads(output).keys() == wanted.keys(), (arguments, output, wanted)


if __name__ == "__main__":
    main(2 * CASE_SECONDS + npm.SECONDS + 10)
