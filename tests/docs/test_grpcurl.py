"""The calls of grpcurl in the README work: by grpcurl where it is installed, else by what it does, with Google's library."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "talk"))

import grpc_client  # noqa: E402
import talk  # noqa: E402


def calls():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return [shlex.split(line) for line in file if line.startswith("    grpcurl ")]


class Reflection:
    """What grpcurl knows of a server: what its reflection tells."""

    def __init__(self, channel):
        self.stream = channel.service("grpc.reflection.v1alpha.ServerReflection").ServerReflectionInfo()

    def services(self):
        self.stream.send(list_services="*")
        return [service.name for service in self.stream.next().list_services_response.service]

    def method(self, path):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        service, name = path.split("/")
        self.stream.send(file_containing_symbol=service)
        pool = descriptor_pool.DescriptorPool()
        for file in self.stream.next().file_descriptor_response.file_descriptor_proto:
            pool.Add(descriptor_pb2.FileDescriptorProto.FromString(file))
        found = pool.FindServiceByName(service).methods_by_name[name]
        factory = message_factory.MessageFactory(pool)
        return factory.GetPrototype(found.input_type), factory.GetPrototype(found.output_type)


def imitate(server, words):
    from google.protobuf import json_format
    data = words.pop(words.index("-d") + 1) if "-d" in words else "{}"
    plain, address, what = [word for word in words[1:] if word != "-d"]
    assert plain == "-plaintext" and address == f"127.0.0.1:{server.port}", words
    channel = grpc_client.Channel(server)
    reflection = Reflection(channel)
    if what == "list":
        return "\n".join(reflection.services()) + "\n"
    asked, answered = reflection.method(what)
    call = channel.channel.unary_unary(f"/{what}", asked.SerializeToString, answered.FromString)
    return json_format.MessageToJson(call(json_format.Parse(data, asked()), timeout=talk.DEADLINE))


def run(server, words):
    words = [re.sub(r"^localhost:7777$", f"127.0.0.1:{server.port}", word) for word in words]
    if shutil.which("grpcurl") is None:
        return imitate(server, words)
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=talk.DEADLINE).stdout


def test_the_calls_of_the_readme():
    grpc_client.library()
    with talk.Server() as server:
        listed, rooms, made = [run(server, words) for words in calls()]
        assert {"rpc.ChatService", "tcpchat.v1.Chat", "grpc.health.v1.Health"} <= set(listed.split()), listed
        assert re.fullmatch("[0-9a-f]{20}", json.loads(made)["roomId"]), made
        assert all(set(room) == {"roomId"} for room in json.loads(rooms)["chatRooms"]), rooms


if __name__ == "__main__":
    talk.main()
