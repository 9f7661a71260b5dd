"""Chooses which system calls of a server fail, by means of faults.c."""

import contextlib
import ctypes
import mmap
import os
import tempfile

from talk import Server, skip

FIELDS = [
    "loaded", "create_fails", "accept_fails", "accept_errno", "send_most", "send_full_each", "send_fails", "send_errno",
    "receive_most", "interrupt_each", "memory_fails", "memory_least", "memory_most", "read_fails", "read_slow_ms",
    "write_fails",
    "create_failed", "accept_failed", "send_cut", "send_full", "send_failed",
    "receive_cut", "interrupted", "calls", "sends", "memory_failed", "read_failed",
    "write_failed",
]


class Fields(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in FIELDS]


@contextlib.contextmanager
def chooser():
    """Gives the fields, and the environment in which a program is to be started that shall have such faults."""
    library = os.environ.get("FAULTS_LIBRARY")
    if not library or not os.path.exists(library):
        skip("FAULTS_LIBRARY does not name the library that makes calls fail")
    with tempfile.NamedTemporaryFile(prefix="tcpchat-faults-") as file:
        file.truncate(mmap.PAGESIZE)
        yield (Fields.from_buffer(mmap.mmap(file.fileno(), mmap.PAGESIZE)),
               {"TALK_FAULTS": file.name, "LD_PRELOAD": os.path.abspath(library)})


class FaultyServer(Server):
    """A server with 'faults', whose fields are those of the struct in faults.c; it starts without any fault."""

    def __init__(self, *arguments, **options):
        library = os.environ.get("FAULTS_LIBRARY")
        if not library or not os.path.exists(library):
            skip("FAULTS_LIBRARY does not name the library that makes calls fail")
        self._file = tempfile.NamedTemporaryFile(prefix="tcpchat-faults-")
        self._file.truncate(mmap.PAGESIZE)
        self.faults = Fields.from_buffer(mmap.mmap(self._file.fileno(), mmap.PAGESIZE))
        environment = dict(options.pop("environment", None) or {}, TALK_FAULTS=self._file.name)
        super().__init__(*arguments, environment=environment, preload=os.path.abspath(library), **options)
        assert self.faults.loaded == 1, "the library was not loaded into the server"

    def mend(self):
        """No more faults."""
        for name in FIELDS[1:FIELDS.index("create_failed")]:
            setattr(self.faults, name, 0)

    def __exit__(self, *error):
        try:
            return super().__exit__(*error)
        finally:
            self._file.close()
