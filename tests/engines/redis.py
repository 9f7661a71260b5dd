"""
A real Redis on a free port, in a temporary folder.

        with Redis(appendfsync="always") as redis:
            server = Server(journal=redis.url)
            redis.kill()
            redis.start()

What cannot be had here is a Skip.

    python3 redis.py -- COMMAND ...   runs a command with TEST_ENGINE_URL and TEST_ENGINE_RESTART set
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
DEADLINE = 60


class Skip(Exception):
    """There is no Redis here; the text says why."""


_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """Whatever ends this process, nothing is left behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Redis:
    """'appendfsync' is always, everysec, no; None: there is no log, and no snapshots either. 'tls' is (certificate, key)."""

    def __init__(self, appendfsync="always", settings=(), password=None, tls=None, start=True):
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise Skip("Redis is not installed here: apt-get install redis-server")
        self.folder = tempfile.mkdtemp(prefix="redis-")
        self.port = free_port()
        self.password = password
        self.scheme = "rediss" if tls else "redis"
        self.credentials = f":{password}@" if password else ""
        self.url = f"{self.scheme}://{self.credentials}127.0.0.1:{self.port}/0"
        self._tls = tls
        self._process = None
        self._configuration = os.path.join(self.folder, "redis.conf")
        self._log = os.path.join(self.folder, "log")
        with open(self._configuration, "w", encoding="utf-8") as file:
            file.write("\n".join([*self._lines(appendfsync, password, tls), *settings]) + "\n")
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def _lines(self, appendfsync, password, tls):
        yield from ("bind 127.0.0.1", f"dir {self.folder}", f"logfile {self._log}", 'save ""', "daemonize no", "supervised no",
                    f"pidfile {self.folder}/pid", "enable-debug-command local")
        yield from ([f"port 0\ntls-port {self.port}", f"tls-cert-file {tls[0]}", f"tls-key-file {tls[1]}", "tls-auth-clients no"]
                    if tls else [f"port {self.port}"])
        yield from (["appendonly no"] if appendfsync is None else ["appendonly yes", f"appendfsync {appendfsync}"])
        if password:
            yield f'requirepass "{password}"'

    def start(self):
        self._process = subprocess.Popen([self._program, self._configuration], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL, preexec_fn=_die_with_parent)
        end = time.monotonic() + DEADLINE
        while self.cli("PING", check=False) != "PONG":
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"Redis does not start:\n{self.log()}")
            time.sleep(0.02)

    def pid(self):
        return self._process.pid

    def _end(self, number):
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(DEADLINE)
            self._process = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    crash = kill  # as PostgreSQL's is called

    def restart(self):
        self.stop()
        self.start()

    def pause(self):
        self._process.send_signal(signal.SIGSTOP)
        self._paused_at = time.monotonic()

    def stands_still_for(self, seconds):
        """Whether it has been paused for so long."""
        return time.monotonic() - self._paused_at >= seconds

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def cli(self, *words, check=True, text=None):
        """What a command answers, as redis-cli prints it for programs; 'text' is what -x takes."""
        environment = {**os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {})}
        options = ["--tls", "--cacert", self._tls[0]] if self._tls else []
        done = subprocess.run(["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *options, *words], env=environment, input=text,
                              stdin=None if text is not None else subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE, check=False)
        answer = done.stdout.decode(errors="replace").strip()
        if check and done.returncode != 0:
            raise AssertionError(f"redis-cli {words}: {answer}")
        return answer

    def log(self):
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                return file.read()[-8000:]
        except OSError:
            return ""

    def restart_command(self):
        """A shell command that kills the database and starts it again; it is another process then, which close() ends, too."""
        return (f"kill -9 $(cat {self.folder}/pid) && while redis-cli -p {self.port} ping 2>&1 | grep -q PONG; do sleep 0.02; done; (setsid {self._program} {self._configuration} >/dev/null 2>&1 </dev/null &) && "
                f"for i in $(seq 500); do redis-cli -p {self.port} ping 2>/dev/null | grep -q PONG && exit 0; sleep 0.05; done; exit 1")

    def empty_command(self):
        """A shell command after which there is nothing in the database."""
        return f"test $(redis-cli -p {self.port} FLUSHALL) = OK"

    def next_day_command(self):
        """A shell command after which rooms that were left because a server ended have waited for a day."""
        script = ("for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZINCRBY', KEYS[1], -86400000000, id) end"
                  " return 1")
        return f"test $(redis-cli -p {self.port} EVAL \"{script}\" 1 tcpchat:left) = 1"

    def environment(self):
        """What programs of tests want to know of it."""
        return {"TEST_ENGINE_URL": self.url, "TEST_ENGINE_RESTART": self.restart_command(), "TEST_ENGINE_EMPTY": self.empty_command(),
                "TEST_ENGINE_NEXT_DAY": self.next_day_command()}

    def close(self):
        self._end(signal.SIGKILL)
        try:  # the one that restart_command() has started
            with open(f"{self.folder}/pid", encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                if f":{self.port}" in file.read():
                    os.kill(pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run_with(command, **options):
    """Runs a command that finds a Redis in its environment. Returns its status."""
    with Redis(**options) as redis:
        status = subprocess.run(command, env={**os.environ, **redis.environment()}, check=False).returncode
        if status != 0:
            print(redis.log(), file=sys.stderr)
        return status


if __name__ == "__main__":
    try:
        sys.exit(run_with(sys.argv[sys.argv.index("--") + 1:]))
    except Skip as skipped:
        print(f"skipped: {skipped}")
        sys.exit(SKIPPED)
