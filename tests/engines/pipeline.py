"""
The pipeline of --journal amqp://...: a real RabbitMQ, a real PostgreSQL, and messageapi between them.

        with Pipeline() as pipeline:
            with Server(*pipeline.options) as server:
                pipeline.messageapi.crash()
                pipeline.messageapi.start()
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile

import talk
from postgres import Postgres
from postgres import Skip as NoPostgres
from rabbitmq import Rabbitmq, free_ports

sys.path.append("/usr/lib/python3/dist-packages")


class Messageapi:
    """The program, on a port that it keeps."""

    def __init__(self, rabbitmq, postgres, *options):
        self.port = free_ports(4)[3]
        self.address = f"127.0.0.1:{self.port}"
        self.arguments = [talk.program("MESSAGEAPI"), "--listen", self.address, "--amqp", rabbitmq, "--postgres", postgres, *options]
        self.log = tempfile.NamedTemporaryFile(prefix="tcpchat-messageapi-", mode="w+b")
        self.process = None
        self.environment = {}
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.arguments, env=talk.clean_environment(self.environment), cwd=talk.empty_folder(),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        talk.wait_for(self.listens, "messageapi listens")

    def listens(self):
        assert self.process.poll() is None, self.errors()
        return Rabbitmq.answers(self.port)

    def errors(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def crash(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """An orderly end; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(talk.DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.go_on()
            try:
                status = self.stop()
            except subprocess.TimeoutExpired:
                self.crash()
                raise
            assert status == 0, f"messageapi ended with {status}: {self.errors()}"
        found = talk.SANITIZER_REPORT.search(self.errors())
        self.log.close()
        assert found is None, "a sanitizer has something to say"

    # What it answers, in the words of another implementation of gRPC.

    def call(self, path, request=b"", timeout=10, metadata=()):
        """Returns the bytes of the answer."""
        import grpc  # pylint: disable=import-error,import-outside-toplevel
        with grpc.insecure_channel(self.address) as channel:
            method = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
            return method(request, timeout=timeout, metadata=metadata, wait_for_ready=True)

    def kinds(self):
        """The messages of the protos that the build has made descriptors of."""
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # pylint: disable=import-error,import-outside-toplevel
        pool = descriptor_pool.DescriptorPool()
        for name in ("messageapi/v1/messages", "go_chat/message", "grpc/health/v1/health"):
            with open(os.path.join(os.environ["PROTOS"], name + ".desc"), "rb") as file:
                for description in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
                    pool.Add(description)
        factory = message_factory.MessageFactory(pool)
        return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))

    def ask(self, method, request=None, **fields):
        kind = self.kinds()
        name = "messageapi.v1." + method
        message = request or kind(name + "Request")(**fields)
        return kind(name + "Response").FromString(self.call("/messageapi.v1.Messages/" + method, message.SerializeToString()))

    def find_all(self):
        """Go-Chat's history as pairs of name and text."""
        answer = self.kinds()("MessageResponses").FromString(self.call("/MessageService/FindAll"))
        return [(message.username, message.message) for message in answer.data]

    def messages(self, room):
        """All of a room's messages, page by page."""
        found = []
        while True:
            page = self.ask("ListMessages", room=room, after=found[-1].seq if found else 0)
            if not page.messages:
                return found
            found += page.messages


class Pipeline(contextlib.ExitStack):
    """tls: a folder with cert.pem and key.pem, for the broker."""

    def __init__(self, *options, tls=None):
        super().__init__()
        try:
            self.rabbitmq = self.enter_context(Rabbitmq(tls))
            self.postgres = self.enter_context(Postgres())
            self.messageapi = Messageapi(self.rabbitmq.url, self.postgres.url, *options)
            self.callback(self.messageapi.close)
        except NoPostgres as reason:
            self.close()
            raise talk.Skip(str(reason)) from None
        except BaseException:
            self.close()
            raise

    @property
    def journal(self):
        return self.rabbitmq.url

    def empty_command(self):
        """A shell command after which all of the queue is stored, and nothing of it is in the database. messageapi stays as it is."""
        environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.rabbitmq.environment().items())
        script = os.path.join(self.rabbitmq.folder, "empty.sh")
        with open(script, "w", encoding="ascii") as file:
            file.write(f"""set -e
waiting=1
while [ -n "$waiting" ]; do
        queues=$(env {environment} {self.rabbitmq.bin}/rabbitmqctl --quiet list_queues name messages)
        waiting=$(printf '%s\\n' "$queues" | awk '$1 == "message_queue" && $2 > 0')
done
PGPASSWORD=secret psql -Xq -v ON_ERROR_STOP=1 -h 127.0.0.1 -p {self.postgres.port} -U chat -d chat <<'END'
DO $$
DECLARE tables text;
BEGIN
        SELECT string_agg(format('%I', tablename), ', ') INTO tables FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'chat_schema';
        EXECUTE 'TRUNCATE ' || tables || ' RESTART IDENTITY';
END $$;
END
""")
        return f"sh {script}"

    @property
    def options(self):
        return ("--journal", self.rabbitmq.url, "--message-api", self.messageapi.address)
