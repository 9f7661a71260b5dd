"""A server that is killed and started again with the same database."""

import os
import signal
import sqlite3
import subprocess
import time

from talk import Server, _PR_SET_PDEATHSIG, _libc, clean_environment, program


class Phoenix:
    """'make' starts a server (talk.Server); place() is where it listens, None while it is dead."""

    def __init__(self, make):
        self._make = make
        self.server = None
        self.kills = 0
        self.start_seconds = []

    def place(self):
        return None if self.server is None else ("127.0.0.1", self.server.port)

    def start(self):
        begin = time.monotonic()
        self.server = self._make()
        self.start_seconds.append(time.monotonic() - begin)

    def kill(self):
        """kill -9"""
        server, self.server = self.server, None
        assert server.process.poll() is None, f"the server has ended by itself, with {server.process.returncode}:\n{server.log.text()[-5000:]}"
        server.send_signal(signal.SIGKILL)
        server.ended()
        self.kills += 1

    def stop(self):
        server, self.server = self.server, None
        server.assert_lives()
        server.stop()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, error, trace):
        if self.server is not None:
            self.server.__exit__(kind, error, trace)
        return False


def kill_while_starting(seconds, *arguments):
    """Starts a server that is killed after so many seconds, whatever it is doing then."""
    process = subprocess.Popen(
        [program("TCPSERVER"), "--listen", "127.0.0.1:0", *arguments], env=clean_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    try:
        time.sleep(seconds)
        assert process.poll() is None, f"the server did not start: {process.stderr.read().decode()}"
    finally:
        process.kill()
        process.communicate()


def integrity(path):
    """What SQLite itself says of the file; 'ok' if nothing is wrong."""
    database = sqlite3.connect(f"file:{os.path.abspath(path)}?mode=ro", uri=True)
    try:
        return "; ".join(row[0] for row in database.execute("PRAGMA integrity_check"))
    finally:
        database.close()
