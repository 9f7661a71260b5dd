"""
A real RabbitMQ for a test: its own node on free ports, in a temporary folder, with an epmd of its own; all of it ends with the test.

        with Rabbitmq() as rabbitmq:
            ... rabbitmq.url ...
            rabbitmq.crash()
            rabbitmq.start()
"""

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from talk import Skip, wait_for

START_S = 120
USER = "rabbitmq"
COOKIE = "TCPCHATTESTCOOKIE"


def free_ports(count):
    """Free ones of 127.0.0.1, below those that the system gives to clients: a node that comes back must find its own free."""
    sockets, ports = [], []
    first = 20000 + os.getpid() % 10000
    for port in range(first, 32000):
        taken = socket.socket()
        sockets.append(taken)
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            continue
        ports.append(port)
        if len(ports) == count:
            break
    for taken in sockets:
        taken.close()
    return ports


def programs():
    """Where the programs of RabbitMQ are; a test without them is skipped."""
    folder = "/usr/lib/rabbitmq/bin"
    if not os.path.exists(folder + "/rabbitmq-server") or shutil.which("epmd") is None:
        raise Skip("there is no RabbitMQ here (package rabbitmq-server)")
    return folder


class Rabbitmq:
    """One node. It runs as the user rabbitmq where the test is root, else as the test's own."""

    def __init__(self, tls=None):
        self.tls = tls
        self.bin = programs()
        self.folder = tempfile.mkdtemp(prefix="tcpchat-rabbitmq-")
        self.port, self.distribution_port, self.epmd_port = free_ports(3)
        self.node = f"tcpchat{os.getpid()}@localhost"
        self.process = self.epmd = None
        self.user = USER if os.geteuid() == 0 else None
        with open(self.folder + "/.erlang.cookie", "w", encoding="ascii") as file:
            file.write(COOKIE)
        os.chmod(self.folder + "/.erlang.cookie", 0o400)
        with open(self.folder + "/rabbitmq.conf", "w", encoding="ascii") as file:
            if tls is None:
                file.write(f"listeners.tcp.local = 127.0.0.1:{self.port}\n")
            else:
                file.write(f"listeners.tcp = none\nlisteners.ssl.local = 127.0.0.1:{self.port}\n"
                           f"ssl_options.certfile = {tls}/cert.pem\nssl_options.keyfile = {tls}/key.pem\n")
        if self.user is not None:
            owner = pwd.getpwnam(self.user)
            for path in (self.folder, self.folder + "/.erlang.cookie", self.folder + "/rabbitmq.conf"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        try:
            self.start_epmd()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        if self.tls is not None:
            return f"amqps://guest:guest@localhost:{self.port}/?cacertfile={self.tls}/cert.pem"
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def environment(self):
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": self.folder,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.node,
            **({} if self.tls else {"RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_NODE_PORT": str(self.port)}),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_MNESIA_BASE": self.folder + "/mnesia",
            "RABBITMQ_LOG_BASE": self.folder + "/log",
            "RABBITMQ_PID_FILE": self.folder + "/pid",
            "RABBITMQ_CONFIG_FILE": self.folder + "/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": self.folder + "/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder + "/plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def run(self, program, *arguments, **options):
        return subprocess.Popen([program, *arguments], env=self.environment(), cwd=self.folder, user=self.user,
                                stdin=subprocess.DEVNULL, **options)

    def start_epmd(self):
        """Ours, or the node would start one that outlives it."""
        self.epmd = self.run(shutil.which("epmd"), "-port", str(self.epmd_port), "-address", "127.0.0.1",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.answers(self.epmd_port), "epmd listens")

    @staticmethod
    def answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def speaks(self):
        """Whether it answers in AMQP: a listener alone is not enough."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as connection:
                connection.settimeout(5)
                if self.tls is not None:
                    return bool(ssl._create_unverified_context().wrap_socket(connection))  # pylint: disable=protected-access
                connection.sendall(b"AMQP\0\0\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def start(self):
        log = open(self.folder + "/output", "ab")
        with log:
            self.process = self.run(self.bin + "/rabbitmq-server", stdout=log, stderr=log, start_new_session=True)
        wait_for(self.has_started, "RabbitMQ answers", START_S)

    def has_started(self):
        if self.process.poll() is not None:
            with open(self.folder + "/output", encoding="utf-8", errors="replace") as file:
                raise AssertionError("RabbitMQ has ended: " + file.read()[-2000:])
        return self.speaks()

    def signal_all(self, number):
        """To the node and what it has started: they are in a session of their own."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def crash(self):
        """kill -9, as when the machine fails."""
        self.signal_all(signal.SIGKILL)
        self.process.wait()
        wait_for(lambda: not self.answers(self.port), "RabbitMQ has gone")
        self.process = None

    def stop(self):
        """An orderly end; after half a minute it is killed."""
        if self.process is None:
            return
        self.signal_all(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        self.signal_all(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def control(self, *arguments):
        """rabbitmqctl; returns what it says."""
        done = self.run(self.bin + "/rabbitmqctl", "--quiet", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, errors = done.communicate(timeout=60)
        assert done.returncode == 0, errors.decode()
        return out.decode()

    def count(self, queue):
        """How many messages wait in a queue, or are with a consumer; None: there is no such queue."""
        for line in self.control("list_queues", "name", "messages").splitlines():
            name, _, count = line.partition("\t")
            if name == queue:
                return int(count)
        return None

    def close(self):
        if self.process is not None:
            self.signal_all(signal.SIGKILL)
            self.process.wait()
        if self.epmd is not None:
            self.epmd.kill()
            self.epmd.wait()
        end = time.monotonic() + 10
        while os.path.exists(self.folder) and time.monotonic() < end:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
