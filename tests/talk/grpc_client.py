"""
gRPC as Google's library for Python speaks it, which we did not write. The messages come from the descriptors of the build.

        chat = Channel(server).service("rpc.ChatService")
        room = chat.CreateChatRoom(private=True).room_id
        bob = chat.Chat()
        bob.send(join={"room_id": room, "name": "bob"})
        assert bob.next().message == "Has entered the chat"
        fails("NOT_FOUND", chat.DeleteChatRoom, room_id="tea")

A method is called with the fields of its request. A unary one returns its answer, or raises Failed; any other returns a
Stream, which reads from the server only when the test does. A channel is a connection of its own, and goes with its
server's 'with' block.

Environment: PROTOS, the folder with the *.desc files of the build.
"""

import functools
import os
import pathlib
import queue
import sys
import threading

from talk import DEADLINE, skip

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # a server that goes away is no news here
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
DEBIAN = "/usr/lib/python3/dist-packages"  # where Debian has it; the tests may run under another python3 of that version
END = object()


@functools.cache
def library():
    """The module grpc; without it the test is skipped."""
    if DEBIAN not in sys.path:
        sys.path.append(DEBIAN)
    try:
        import google.protobuf.message_factory  # noqa: F401
        import grpc
    except ImportError as error:
        skip(f"there is no gRPC for this Python: {error}")
    return grpc


# ---- Messages. ----

class Protos:
    """What the *.desc files say."""

    def __init__(self, folder):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        self.pool = descriptor_pool.DescriptorPool()
        self.factory = message_factory.MessageFactory(self.pool)
        self.methods = {}  # of each service: of each method, its descriptor
        files = {}
        for path in sorted(folder.rglob("*.desc")):
            for file in descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file:
                files[file.name] = file
        while files:
            self._add(files, next(iter(files)))

    def _add(self, files, name):
        file = files.pop(name)
        for needed in file.dependency:
            if needed in files:
                self._add(files, needed)
        self.pool.Add(file)
        package = file.package + "." if file.package else ""
        for service in file.service:
            self.methods[package + service.name] = {method.name: method for method in service.method}

    def kind(self, name):
        """The class of the messages of that name, as rpc.Message."""
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))


@functools.cache
def protos():
    library()
    folder = os.environ.get("PROTOS")
    if not folder:
        raise AssertionError("PROTOS is not set; it has to hold the folder proto of the build")
    return Protos(pathlib.Path(folder))


def message(kind, /, **fields):
    """A message of that kind, as message("rpc.Message", name="bob", message="hi")."""
    return protos().kind(kind)(**fields)


# ---- Calls. ----

class Failed(Exception):
    """A call ended with another status than OK."""

    def __init__(self, call):
        self.code = call.code().name
        self.words = call.details()
        self.metadata = dict(call.trailing_metadata() or ())
        super().__init__(f"{self.code}: {self.words}")


def fails(code, method, *arguments, words=None, **fields):
    """The call has to end with that status, and those words. Returns how it ended."""
    try:
        result = method(*arguments, **fields)
    except Failed as failed:
        assert failed.code == code and words in (None, failed.words), f"{failed} instead of {code}: {words}"
        return failed
    raise AssertionError(f"{result!r} instead of {code}")


class Stream:
    """A call of which either side may send many messages."""

    def __init__(self, start, kind):
        self._kind = kind
        self._requests = queue.SimpleQueue()
        self._wanted = threading.Semaphore(0)
        self._asked = 0  # for so many answers that did not come yet
        self._answers = queue.SimpleQueue()
        self._end = None  # or status and words
        self._call = start(iter(self._requests.get, END))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        grpc = library()
        while True:
            self._wanted.acquire()
            try:
                self._answers.put(next(self._call))
            except (StopIteration, grpc.RpcError):
                self._answers.put(END)
                return

    def send(self, **fields):
        self.send_message(self._kind(**fields))

    def send_message(self, whole):
        """A message as it is; the bytes of one as well."""
        self._requests.put(whole)

    def half_close(self):
        """Nothing more will be sent."""
        self._requests.put(END)

    def cancel(self):
        self._call.cancel()

    def metadata(self):
        """What the server tells before its first answer, which is waited for."""
        return dict(self._call.initial_metadata())

    def _next(self, seconds):
        """The next message, or END, or None if none came in time."""
        if self._end is not None:
            return END
        if self._asked == 0:
            self._asked = 1
            self._wanted.release()
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        self._asked = 0
        if answer is END:
            self._end = (self._call.code().name, self._call.details())
        return answer

    def take(self, seconds=DEADLINE):
        """The next message; END when the call has ended, however; None when neither came in time."""
        return self._next(seconds)

    @property
    def end(self):
        """Status and words, once the call has ended."""
        return self._end

    def next(self, seconds=DEADLINE):
        """The next message."""
        answer = self._next(seconds)
        if answer is None:
            raise AssertionError(f"waited {seconds} s, but no message came")
        if answer is END:
            raise AssertionError(f"the call ended with {self._end[0]}: {self._end[1]}")
        return answer

    def ask(self):
        """Lets the library read one message more, for next(), and does not wait for it."""
        if self._asked == 0 and self._end is None:
            self._asked = 1
            self._wanted.release()

    def rest(self, seconds=DEADLINE):
        """All that comes before the end of the call, whatever that is."""
        answers = []
        while (answer := self._next(seconds)) is not END:
            if answer is None:
                raise AssertionError(f"waited {seconds} s, but the call has not ended; it said {answers[-5:]}")
            answers.append(answer)
        return answers

    def expect_end(self, code="OK", words=None, seconds=DEADLINE):
        """Nothing comes any more but the end of the call, with that status, and those words."""
        answer = self._next(seconds)
        assert answer is END, f"{answer!r} instead of the end"
        assert self._end[0] == code and words in (None, self._end[1]), f"{self._end} instead of {(code, words)}"

    def headers(self):
        """The metadata that came before the first message; waits for it."""
        return dict(self._call.initial_metadata())

    def trailers(self):
        """The metadata that came after the last one; waits for it."""
        return dict(self._call.trailing_metadata())


class Service:
    """Has the methods of a service as attributes."""

    def __init__(self, channel, name):
        for method in protos().methods[name].values():
            setattr(self, method.name, channel.method(f"/{name}/{method.name}", method))


class Channel:
    """
    A connection of its own to a server.

    certificate  the path of one that vouches for the server, which is spoken to through TLS then
    options      pairs for the library, as ("grpc.max_receive_message_length", -1)
    waits        until there is a connection; a busy machine may need a second one, because the server takes who says
                 nothing for 300 ms for a person
    """

    def __init__(self, server, place=None, certificate=None, options=(), waits=True):
        grpc = library()
        host, port = place or ("127.0.0.1", server.port)
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        # Who was away for a moment is tried again in a moment, not after seconds.
        patience = [(f"grpc.{which}_reconnect_backoff_ms", ms) for which, ms in (("initial", 100), ("min", 100), ("max", 1000))]
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1), *patience, *options]
        if certificate is None:
            self.channel = grpc.insecure_channel(target, options)
        else:
            trusted = grpc.ssl_channel_credentials(pathlib.Path(certificate).read_bytes())
            options.append(("grpc.ssl_target_name_override", "localhost"))
            self.channel = grpc.secure_channel(target, trusted, options)
        server.clients.append(self)
        if waits:
            grpc.channel_ready_future(self.channel).result(DEADLINE)

    def close(self):
        self.channel.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def service(self, name):
        return Service(self, name)

    def method(self, path, descriptor):
        """What calls a method; 'timeout' (seconds) goes to the server as the deadline."""
        kinds = [protos().kind(name[1:]) for name in (descriptor.input_type, descriptor.output_type)]
        many = (descriptor.client_streaming, descriptor.server_streaming)
        return {(False, False): self._unary, (False, True): self._server_stream}.get(many, self._stream)(path, *kinds)

    @staticmethod
    def _bytes(whole):
        return whole if isinstance(whole, bytes) else whole.SerializeToString()

    def _unary(self, path, request, answer):
        start = self.channel.unary_unary(path, self._bytes, answer.FromString)

        def call(whole=None, *, metadata=(), timeout=None, **fields):
            try:
                return start(request(**fields) if whole is None else whole, timeout, metadata)
            except library().RpcError as error:
                raise Failed(error) from None

        return call

    def _server_stream(self, path, request, answer):
        start = self.channel.unary_stream(path, self._bytes, answer.FromString)

        def call(whole=None, *, metadata=(), timeout=None, **fields):
            return Stream(lambda _: start(request(**fields) if whole is None else whole, timeout, metadata), request)

        return call

    def _stream(self, path, request, answer):
        start = self.channel.stream_stream(path, self._bytes, answer.FromString)

        def call(*, metadata=(), timeout=None):
            return Stream(lambda requests: start(requests, timeout, metadata), request)

        return call
