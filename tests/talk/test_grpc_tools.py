"""What gRPC's tools rely on: grpc.health.v1, and server reflection, asked as grpcurl asks it."""

import os
import pathlib
import signal

from faults import FaultyServer
from grpc_client import Channel, END, Stream, fails, message
from http2 import Peer, field
from talk import BUILD_KIND, DEADLINE, Server, main, skip, wait_for

SERVICES = ["MessageService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection", "rpc.ChatService", "tcpchat.v1.Chat"]
VERSIONS = ("v1", "v1alpha")
UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN = range(4)
NOT_FOUND, INVALID_ARGUMENT = 5, 3


# ---- Health. ----

def health(server):
    return Channel(server).service("grpc.health.v1.Health")


def test_each_service_is_served():
    with Server() as server:
        service = health(server)
        for name in ("", *SERVICES):
            assert service.Check(service=name).status == SERVING, name
            watch = service.Watch(service=name)
            assert watch.next().status == SERVING, name
            watch.cancel()


def test_a_service_that_there_is_not_is_unknown():
    with Server() as server:
        service = health(server)
        for name in ("rpc.Catalog", "rpc", "rpc.ChatService/Chat", "lobby", "x" * 5000, "é\n"):
            fails("NOT_FOUND", service.Check, service=name, words="unknown service")
        watch = service.Watch(service="rpc.Catalog")
        assert watch.next().status == SERVICE_UNKNOWN
        server.send_signal(signal.SIGTERM)
        watch.expect_end("UNAVAILABLE")
        assert server.ended() == 0


def test_what_is_no_request_is_refused():
    with Server() as server:
        service = health(server)
        fails("INVALID_ARGUMENT", service.Check, b"\xff")
        fails("INVALID_ARGUMENT", service.Check, b"\x0a\x02\xff\xfe")  # no UTF-8
        watch = service.Watch(b"\xff")
        watch.expect_end("INVALID_ARGUMENT")
        assert service.Check(b"\x12\x02hi").status == SERVING  # a field that we do not know


def test_a_server_whose_disk_is_full_is_not_served_and_who_watches_learns_both():
    with FaultyServer(journal="sqlite:chat.db") as server:
        service = health(server)
        watch, unknown = service.Watch(service="rpc.ChatService"), service.Watch(service="unknown")
        assert watch.next().status == SERVING
        assert unknown.next().status == SERVICE_UNKNOWN
        ann = server.join("ann")
        server.faults.write_fails = 1000000
        ann.say("hello")
        assert ann.line().startswith("! not-stored: ")
        assert watch.next().status == NOT_SERVING
        for name in ("", *SERVICES):
            assert service.Check(service=name).status == NOT_SERVING, name
        late = service.Watch()
        assert late.next().status == NOT_SERVING
        server.mend()
        assert watch.next().status == SERVING
        assert late.next().status == SERVING
        assert service.Check().status == SERVING
        unknown.cancel()
        assert unknown.rest() == []


def test_who_watches_learns_that_the_server_stops():
    with Server() as server:
        watches = [health(server).Watch(service=name) for name in ("", "rpc.ChatService")]
        assert [watch.next().status for watch in watches] == [SERVING, SERVING]
        server.send_signal(signal.SIGTERM)
        for watch in watches:
            assert watch.next().status == NOT_SERVING
            watch.expect_end("UNAVAILABLE")
        assert server.ended() == 0


def test_who_watches_may_go_at_any_time():
    with Server() as server:
        service = health(server)
        assert service.Check().status == SERVING
        before = server.threads()
        watches = [service.Watch() for _ in range(50)]
        assert all(watch.next().status == SERVING for watch in watches)
        assert server.threads() >= before + 50 - 1
        for watch in watches:
            watch.cancel()
        wait_for(lambda: server.threads() <= before, f"{before} threads again")
        late = service.Watch(timeout=0.5)
        assert late.next().status == SERVING
        late.expect_end("DEADLINE_EXCEEDED")
        wait_for(lambda: server.threads() <= before, f"{before} threads again")


# ---- Reflection. ----

def reflection(server, version="v1", channel=None):
    return (channel or Channel(server)).service(f"grpc.reflection.{version}.ServerReflection").ServerReflectionInfo()


def ask(stream, **request):
    stream.send(**request)
    return stream.next()


def files():
    """Of the build, by name: what the server was built with."""
    from google.protobuf import descriptor_pb2
    paths = [path for path in pathlib.Path(os.environ["PROTOS"]).rglob("*.desc") if "messageapi" not in path.parts]
    found = [file for path in paths for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file]
    return {file.name: file for file in found}


def file_of(answer):
    from google.protobuf import descriptor_pb2
    (whole,) = answer.file_descriptor_response.file_descriptor_proto
    return descriptor_pb2.FileDescriptorProto.FromString(whole)


def test_the_services_are_listed():
    with Server() as server:
        for version in VERSIONS:
            stream = reflection(server, version)
            answer = ask(stream, host="here", list_services="*")
            assert [service.name for service in answer.list_services_response.service] == SERVICES
            assert answer.valid_host == "here" and answer.original_request.list_services == "*"
            assert answer.original_request.host == "here"
            stream.half_close()
            stream.expect_end("OK")


def test_each_file_comes_as_it_was_built():
    with Server() as server:
        for version in VERSIONS:
            stream = reflection(server, version)
            assert len(files()) == len(SERVICES)
            for name, file in files().items():
                assert file_of(ask(stream, file_by_filename=name)) == file
                assert not set(file.dependency) - set(files())


def symbols(file):
    """All full names that a file declares."""
    package = f"{file.package}." if file.package else ""

    def of_enum(enum, scope):
        yield scope + enum.name
        yield from (scope + value.name for value in enum.value)

    def of_message(kind, scope):
        inside = f"{scope}{kind.name}."
        yield scope + kind.name
        yield from (inside + part.name for part in (*kind.field, *kind.oneof_decl))
        for inner in kind.nested_type:
            yield from of_message(inner, inside)
        for enum in kind.enum_type:
            yield from of_enum(enum, inside)

    for service in file.service:
        yield package + service.name
        yield from (f"{package}{service.name}.{method.name}" for method in service.method)
    for kind in file.message_type:
        yield from of_message(kind, package)
    for enum in file.enum_type:
        yield from of_enum(enum, package)


def test_each_symbol_leads_to_its_file():
    with Server() as server:
        stream = reflection(server)
        for file in files().values():
            names = list(symbols(file))
            assert len(names) == len(set(names)) and len(names) > 3
            for name in names:
                assert file_of(ask(stream, file_containing_symbol=name)).name == file.name, name


def test_what_there_is_not_is_said_to_be_not_there_and_the_call_goes_on():
    with Server() as server:
        for version in VERSIONS:
            stream = reflection(server, version)
            for question in (
                    {"file_by_filename": "nowhere.proto"}, {"file_by_filename": ""}, {"file_by_filename": "../rpc/chat.proto"},
                    {"file_containing_symbol": "rpc.Nothing"}, {"file_containing_symbol": ""}, {"file_containing_symbol": "."},
                    {"file_containing_symbol": "rpc"}, {"file_containing_symbol": "ChatService"},
                    {"file_containing_symbol": "a." * 2000},
                    {"all_extension_numbers_of_type": "rpc.ChatService"}, {"all_extension_numbers_of_type": "rpc.Nothing"},
                    {"file_containing_extension": {"containing_type": "rpc.ChatMessage", "extension_number": 100}}):
                answer = ask(stream, **question)
                assert answer.error_response.error_code == NOT_FOUND and answer.error_response.error_message, (question, answer)
                (name,) = question
                assert answer.original_request.WhichOneof("message_request") == name
            assert ask(stream).error_response.error_code == INVALID_ARGUMENT
            answer = ask(stream, all_extension_numbers_of_type="rpc.ChatMessage").all_extension_numbers_response
            assert answer.base_type_name == "rpc.ChatMessage" and not answer.extension_number
            assert ask(stream, list_services="").list_services_response.service


def test_what_is_no_question_ends_the_call():
    with Server() as server:
        for nonsense in (b"\xff", b"\x0a\x02\xff\xfe", b"\x22\x7fx"):
            stream = reflection(server)
            assert ask(stream, list_services="").list_services_response.service
            stream.send_message(nonsense)
            stream.expect_end("INVALID_ARGUMENT")


def test_who_asks_much_and_reads_late_gets_all_answers_in_order():
    with Server() as server:
        stream = reflection(server)
        asked = [f"rpc.ChatService.{'x' * (i % 7)}{i}" for i in range(5000)]
        for name in asked:
            stream.send(file_containing_symbol=name)
            stream.send(file_by_filename="tcpchat/v1/chat.proto")
        stream.half_close()
        assert Channel(server).service("grpc.health.v1.Health").Check().status == SERVING
        for name in asked:
            assert stream.next().original_request.file_containing_symbol == name
            assert stream.next().original_request.file_by_filename == "tcpchat/v1/chat.proto"
        stream.expect_end("OK")


def test_a_call_that_waits_for_questions_ends_when_the_server_stops():
    with Server() as server:
        stream = reflection(server)
        assert ask(stream, list_services="").list_services_response.service
        server.send_signal(signal.SIGTERM)
        stream.expect_end("UNAVAILABLE")
        assert server.ended() == 0


# ---- grpcurl. ----

class Grpcurl:
    """
    Asks what grpcurl asks, in its order: one call of the newest version that the server has, by which the services are listed, and a
    symbol is looked up with all files that it needs; then a method is called with messages made of these alone.
    """

    def __init__(self, server, versions=VERSIONS):
        self.channel = Channel(server)
        for version in versions:
            self.stream = self.of_version(version)
            self.stream.send(list_services="*")
            answer = self.stream.take()
            if answer is END:
                self.stream.expect_end("UNIMPLEMENTED")
                continue
            self.services = sorted(service.name for service in answer.list_services_response.service)
            self.version = version
            return
        raise AssertionError("there is no reflection")

    def of_version(self, version):
        known = "grpc.reflection.v1."  # the messages of all versions look the same
        kinds = [type(message(f"{known}ServerReflection{name}")) for name in ("Request", "Response")]
        start = self.channel.channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                                   lambda request: request.SerializeToString(), kinds[1].FromString)
        return Stream(start, kinds[0])

    def pool(self, symbol):
        """What the server says of a symbol, as messages that can be made."""
        from google.protobuf import descriptor_pool
        pool, seen = descriptor_pool.DescriptorPool(), set()

        def add(file):
            if file.name not in seen:
                seen.add(file.name)
                for needed in file.dependency:
                    add(file_of(ask(self.stream, file_by_filename=needed)))
                pool.Add(file)

        add(file_of(ask(self.stream, file_containing_symbol=symbol)))
        return pool

    def call(self, method, text="{}"):
        """grpcurl -d TEXT HOST:PORT SERVICE/METHOD: the answers, in JSON."""
        from google.protobuf import json_format, message_factory
        service, _, name = method.partition("/")
        pool = self.pool(service)
        described = pool.FindServiceByName(service).FindMethodByName(name)
        factory = message_factory.MessageFactory(pool)
        request = json_format.Parse(text, factory.GetPrototype(described.input_type)())
        start = self.channel.channel.unary_unary(f"/{method}", lambda whole: whole.SerializeToString(),
                                                 factory.GetPrototype(described.output_type).FromString)
        return json_format.MessageToDict(start(request, DEADLINE))


def test_grpcurl_takes_the_newest_version_and_falls_back():
    with Server() as server:
        assert Grpcurl(server).version == "v1"
        assert Grpcurl(server, ("v1alpha",)).version == "v1alpha"
        assert Grpcurl(server, ("v9", "v1alpha")).version == "v1alpha"


def test_grpcurl_lists_describes_and_calls():
    with Server() as server:
        for versions in VERSIONS:
            grpcurl = Grpcurl(server, (versions,))
            assert grpcurl.services == SERVICES
            methods = {name: [method.name for method in grpcurl.pool(name).FindServiceByName(name).methods] for name in SERVICES}
            assert methods["rpc.ChatService"] == ["Chat", "CreateChatRoom", "ListChatRooms", "DeleteChatRoom"]
            assert methods["grpc.health.v1.Health"] == ["Check", "Watch"]
            assert methods["MessageService"] == ["FindAll"]
            assert "Talk" in methods["tcpchat.v1.Chat"]
            fields = grpcurl.pool("rpc.JoinChat").FindMessageTypeByName("rpc.JoinChat").fields
            assert [(field.name, field.number) for field in fields] == [("room_id", 1), ("name", 2)]
            assert grpcurl.call("grpc.health.v1.Health/Check") == {"status": "SERVING"}
            room = grpcurl.call("rpc.ChatService/CreateChatRoom")["roomId"]
            listed = grpcurl.call("rpc.ChatService/ListChatRooms")["chatRooms"]
            assert {"roomId": room} in listed
            assert grpcurl.call("rpc.ChatService/DeleteChatRoom", f'{{"roomId": "{room}"}}') == {"roomId": room}
            assert {"roomId": room} not in grpcurl.call("rpc.ChatService/ListChatRooms").get("chatRooms", [])


def test_grpcurl_is_shown_what_the_protos_say_about_their_fields():
    with Server() as server:
        grpcurl = Grpcurl(server)
        for symbol in ("rpc.ChatService", "tcpchat.v1.Chat"):
            file = file_of(ask(grpcurl.stream, file_containing_symbol=symbol))
            comments = [place.leading_comments for place in file.source_code_info.location if list(place.path) == [6, 0, 2, 0]]
            assert comments and comments[0].strip(), symbol


def test_who_asks_for_much_and_does_not_read_takes_little_memory():
    """The description of a file is three hundred times as long as the request: one connection could take 1.8 GB."""
    if BUILD_KIND != "plain":
        skip("a sanitizer takes memory as it likes")
    with Server() as server:
        peer = Peer(server, window=0)
        calls = [peer.call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo") for _ in range(50)]
        before = server.memory()
        peer.ask_much(calls, field(3, "tcpchat/v1/chat.proto"))
        grown = (server.memory() - before) / len(calls)
        assert grown < 400 << 10, f"{grown / 1024:.0f} KiB each"


if __name__ == "__main__":
    main()
