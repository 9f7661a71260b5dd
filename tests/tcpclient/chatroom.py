"""
A Chatroom server, as its predecessor's clients know it: rpc.ChatService alone, in memory, over h2c, or TLS with a certificate.

It is made of python3-grpcio, so the client is tried against a server that we did not write. Like that server it has rooms with ids
of 20 hex digits, shows a newcomer the last ten lines of a room, and tells a speaker nothing of what it said.
"""

import pathlib
import queue
import secrets
import sys
import threading
from concurrent import futures

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "talk"))

from grpc_client import library, message, protos  # noqa: E402
from talk import DEADLINE  # noqa: E402

HOST = "127.0.0.1"
SERVER = "chat server"
UNKNOWN = "room ID does not exist"
END = object()


def said_by(who, text):
    return protos().kind("rpc.Message")(name=who, message=text)


class Room:
    def __init__(self):
        self.lock = threading.Lock()
        self.log = []
        self.members = {}  # of each queue, the name

    def say(self, name, text, but=None):
        with self.lock:
            said = said_by(name, text)
            self.log.append((name, text))
            for member in self.members:
                if member is not but:
                    member.put(said)

    def enter(self, name):
        with self.lock:
            member = queue.SimpleQueue()
            self.log.append((name, "Has joined the chat"))
            for other in self.members:
                other.put(said_by(name, "Has joined the chat"))
            for who, text in self.log[-10:]:
                member.put(said_by(who, text))
            self.members[member] = name
            return member

    def leave(self, member):
        with self.lock:
            name = self.members.pop(member, None)
        if name is not None:
            self.say(name, "Has left the chat")

    def close(self):
        self.say(SERVER, "chat room is closing")
        with self.lock:
            for member in self.members:
                member.put(END)
            self.members.clear()


class Chatroom:
    """'chat' may take the place of the method Chat: it gets the requests and the context, and yields messages."""

    def __init__(self, pair=None, port=0, rooms=(), chat=None):
        grpc = library()
        self.grpc = grpc
        self.rooms = {room: Room() for room in rooms}
        self.listeners = []
        self.clients = []  # channels of grpc_client
        self.asked = []  # each request to make a room: whether it was private
        self.server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        handlers = {
            "Chat": grpc.stream_stream_rpc_method_handler(chat or self.chat, **self.coder("ChatMessage")),
            "CreateChatRoom": grpc.unary_unary_rpc_method_handler(self.create, **self.coder("CreateChatRoomRequest")),
            "ListChatRooms": grpc.unary_unary_rpc_method_handler(self.list, **self.coder("ListChatRoomsRequest")),
            "DeleteChatRoom": grpc.unary_unary_rpc_method_handler(self.delete, **self.coder("DeleteChatRoomRequest")),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("rpc.ChatService", handlers),))
        where = f"{HOST}:{port}"
        if pair is None:
            self.port = self.server.add_insecure_port(where)
        else:
            certificate, key = (pathlib.Path(path).read_bytes() for path in pair)
            self.port = self.server.add_secure_port(where, grpc.ssl_server_credentials([(key, certificate)]))
        assert self.port != 0, where

    @staticmethod
    def coder(request):
        """Answers are messages, or bytes as they are."""
        return {"request_deserializer": protos().kind(f"rpc.{request}").FromString,
                "response_serializer": lambda answer: answer if isinstance(answer, bytes) else answer.SerializeToString()}

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *error):
        self.stop()  # so all calls have ended when their channels are closed
        for client in self.clients:
            client.close()

    def stop(self):
        self.server.stop(None).wait(DEADLINE)
        for listener in self.listeners:  # within the library, which must not be there when Python ends
            listener.join(DEADLINE)

    def room(self):
        """A new room, and its id."""
        name = secrets.token_hex(10)
        self.rooms[name] = Room()
        return name, self.rooms[name]

    def create(self, request, _):
        self.asked.append(request.private)
        return message("rpc.ChatRoom", room_id=self.room()[0])

    def list(self, _, __):
        return message("rpc.ListChatRoomsResponse", chat_rooms=[message("rpc.ChatRoom", room_id=name) for name in self.rooms])

    def delete(self, request, context):
        room = self.rooms.pop(request.room_id, None)
        if room is None:
            context.abort(self.grpc.StatusCode.NOT_FOUND, "chat room ID does not exist")
        room.close()
        return message("rpc.ChatRoom", room_id=request.room_id)

    def chat(self, requests, context):
        first = next(requests, None)
        if first is None:
            context.abort(self.grpc.StatusCode.INTERNAL, "Failed to read initial join request")
        room = self.rooms.get(first.join.room_id)
        if room is None:
            context.abort(self.grpc.StatusCode.NOT_FOUND, UNKNOWN)
        member = room.enter(first.join.name)

        def listen():
            try:
                for request in requests:
                    if request.HasField("message"):
                        room.say(first.join.name, request.message.message, member)
            except self.grpc.RpcError:
                pass

        def leave():
            room.leave(member)
            member.put(END)

        context.add_callback(leave)
        listener = threading.Thread(target=listen)
        self.listeners.append(listener)
        listener.start()
        while (said := member.get()) is not END:
            yield said
