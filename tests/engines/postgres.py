"""
A real PostgreSQL on a free port, in a temporary folder.

        with Postgres() as database:
            server = Server(journal=database.url)
            database.restart()

initdb refuses to run as root: then it all belongs to the user postgres, whom Debian's package makes. What cannot be had here is a Skip.

    python3 postgres.py -- COMMAND ...   runs a command with TEST_ENGINE_URL and TEST_ENGINE_RESTART set
"""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
DEADLINE = 120


class Skip(Exception):
    """There is no PostgreSQL here; the text says why."""


def _programs():
    """Where pg_ctl and initdb are; they are in no path."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"), key=lambda path: float(path.split("/")[4]))
    path = found[-1] if found else shutil.which("pg_ctl")
    if path is None:
        raise Skip("PostgreSQL is not installed here: apt-get install postgresql")
    return os.path.dirname(os.path.realpath(path))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Postgres:
    """Starts with an empty database 'chat' of the user 'chat', whose password is 'secret'."""

    def __init__(self, settings=(), start=True):
        self._bin = _programs()
        self._owner = None
        if os.geteuid() == 0:
            try:
                self._owner = pwd.getpwnam("postgres")
            except KeyError:
                raise Skip("there is no user postgres, and initdb refuses root") from None
        self.folder = tempfile.mkdtemp(prefix="postgres-")
        self.port = free_port()
        self.url = f"postgres://chat:secret@127.0.0.1:{self.port}/chat"
        self._data = os.path.join(self.folder, "data")
        self._log = os.path.join(self.folder, "log")
        self.running = False
        try:
            self._make(settings)
            if start:
                self.start()
        except BaseException:
            self.close()
            raise

    def _run(self, program, *arguments, check=True):
        """Runs one of PostgreSQL's programs as the user to whom the files belong."""
        def become():
            if self._owner is not None:
                os.setgroups([])
                os.setgid(self._owner.pw_gid)
                os.setuid(self._owner.pw_uid)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": self.folder}
        done = subprocess.run([os.path.join(self._bin, program), *arguments], preexec_fn=become, cwd=self.folder,
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=DEADLINE, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{program} {arguments}: {done.stdout.decode(errors='replace')}\n{self.log()}")
        return done

    def _make(self, settings):
        if self._owner is not None:
            os.chown(self.folder, self._owner.pw_uid, self._owner.pw_gid)
        password = os.path.join(self.folder, "password")
        with open(password, "w", encoding="ascii") as file:
            file.write("secret\n")
        os.chmod(password, 0o644)
        self._run("initdb", "-D", self._data, "-U", "chat", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
                  f"--pwfile={password}", "--no-sync")
        with open(os.path.join(self._data, "postgresql.conf"), "a", encoding="ascii") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n"
                       "max_connections = 60\nfsync = on\nsynchronous_commit = on\n")
            for line in settings:
                file.write(line + "\n")

    def start(self):
        self._run("pg_ctl", "-D", self._data, "-l", self._log, "-w", "-t", str(DEADLINE), "start")
        self.running = True
        # createdb has no password to give; psql() asks through the socket's address, too.
        if self.psql("SELECT count(*) FROM pg_database WHERE datname = 'chat'", database="postgres") == "0":
            self.psql("CREATE DATABASE chat", database="postgres")

    def standby(self):
        """Another one that has what this one has, and follows it; this one waits for it from now on. promote() makes it the first."""
        other = Postgres.__new__(Postgres)
        other._bin, other._owner, other.running = self._bin, self._owner, False
        other.folder = tempfile.mkdtemp(prefix="postgres-")
        other.port = free_port()
        other._data, other._log = os.path.join(other.folder, "data"), os.path.join(other.folder, "log")
        if other._owner is not None:
            os.chown(other.folder, other._owner.pw_uid, other._owner.pw_gid)
        try:
            other._run("pg_basebackup", "-R", "-c", "fast", "--no-sync", "-D", other._data, "-d",
                       f"host=127.0.0.1 port={self.port} user=chat password=secret application_name=standby")
            with open(os.path.join(other._data, "postgresql.conf"), "a", encoding="ascii") as file:
                file.write(f"port = {other.port}\nunix_socket_directories = '{other.folder}'\n")
            other.start()
            self.psql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            self.psql("SELECT pg_reload_conf()")
            end = time.monotonic() + DEADLINE
            while self.psql("SELECT sync_state FROM pg_stat_replication") != "sync":
                assert time.monotonic() < end, "the standby does not follow"
                time.sleep(0.05)
        except BaseException:
            other.close()
            raise
        return other

    def promote(self):
        self._run("pg_ctl", "-D", self._data, "-w", "-t", str(DEADLINE), "promote")

    def stop(self, mode="fast"):
        """Modes are pg_ctl's: 'immediate' is like kill -9 of all its processes, but leaves no shared memory."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", str(DEADLINE), "-m", mode, "stop")
        self.running = False

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def pid(self):
        with open(os.path.join(self._data, "postmaster.pid"), encoding="ascii") as file:
            return int(file.readline())

    def crash(self):
        """kill -9 of the first process; all others end when they see that."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + DEADLINE
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.01)
        self.running = False

    def processes(self):
        """The ids of all of the database's processes."""
        first = self.pid()
        with open(f"/proc/{first}/task/{first}/children", encoding="ascii") as file:
            return [first, *map(int, file.read().split())]

    def adopt(self, *paths):
        """Files become those of the user to whom the database belongs, who alone may read them."""
        for path in paths:
            if self._owner is not None:
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
            os.chmod(path, 0o600)

    def psql(self, sql, database="chat", check=True):
        """What a statement gives, as unaligned text."""
        environment = {**os.environ, "PGPASSWORD": "secret", "PGCONNECT_TIMEOUT": "20"}
        done = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "chat", "-d", database, "-XAtq", "-c", sql],
                              env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=DEADLINE, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"psql: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode().strip()

    def log(self):
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                return file.read()[-8000:]
        except OSError:
            return ""

    def close(self):
        if self.running:
            try:
                self.stop("immediate")
            except (AssertionError, subprocess.TimeoutExpired) as error:
                print(error, file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def restart_command(self):
        """A shell command that kills the database and starts it again."""
        become = f"setpriv --reuid={self._owner.pw_uid} --regid={self._owner.pw_gid} --clear-groups " if self._owner else ""
        return (f"cd {self.folder} && {become}{self._bin}/pg_ctl -D {self._data} -l {self._log} -w -t {DEADLINE} -m immediate restart "
                f">{self.folder}/restart.out 2>&1 </dev/null || {{ cat {self.folder}/restart.out {self._log} >&2; false; }}")


def empty_command(database):
    """A shell command after which there is nothing in the database."""
    return (f"PGPASSWORD=secret psql -Xq -h 127.0.0.1 -p {database.port} -U chat -d chat -c 'SET client_min_messages = error;"
            " DROP SCHEMA public CASCADE; CREATE SCHEMA public'")


def next_day_command(database):
    """A shell command after which rooms that were left because a server ended have waited for a day."""
    return (f"PGPASSWORD=secret psql -Xq -h 127.0.0.1 -p {database.port} -U chat -d chat"
            " -c \"UPDATE chat_left SET due = due - interval '1 day'\"")


def hold_command(database):
    """A shell command after which somebody else has the room $ROOM for a while."""
    psql = f"psql -XAtq -h 127.0.0.1 -p {database.port} -U chat -d chat -c"
    room = "SELECT FROM chat_rooms WHERE id = '$ROOM' FOR UPDATE"
    return (f"export PGPASSWORD=secret; {psql} \"BEGIN; {room}; SELECT pg_sleep(4); COMMIT\" >/dev/null &"
            f" while {psql} \"{room} NOWAIT\" >/dev/null 2>&1; do sleep 0.01; done")


def run_with(command, settings=()):
    """Runs a command that finds a database in its environment. Returns its status."""
    with Postgres(settings) as database:
        environment = {**os.environ, "TEST_ENGINE_URL": database.url, "TEST_ENGINE_RESTART": database.restart_command(),
                       "TEST_ENGINE_EMPTY": empty_command(database), "TEST_ENGINE_NEXT_DAY": next_day_command(database),
                       "TEST_ENGINE_HOLD": hold_command(database)}
        status = subprocess.run(command, env=environment, check=False).returncode
        if status != 0:
            print(database.log(), file=sys.stderr)
        return status


if __name__ == "__main__":
    try:
        sys.exit(run_with(sys.argv[sys.argv.index("--") + 1:]))
    except Skip as skipped:
        print(f"skipped: {skipped}")
        sys.exit(SKIPPED)
