"""
A server on a disk that can fail and that can be cut off (disk.c), and what such a disk holds after a power cut.

What stays is what was synced; and of what was written after that, anything: nothing, all, the beginning, or whatever parts of
512 bytes chance may choose. A file of which the folder was not synced may be missing.
"""

import ctypes
import mmap
import os
import struct
import tempfile

from talk import Server, skip

FIELDS = ["loaded", "skips_sync", "write_errno", "write_each", "grow_errno", "cut_writes", "sync_errno", "open_errno",
          "read_errno", "read_each", "writes", "syncs", "writes_failed", "syncs_failed", "opens_failed", "reads_failed",
          "reads"]
SECTOR = 512
RECORD = struct.Struct("<IIQQ")
CREATE, OPEN, WRITE, TRUNCATE, SYNC, UNLINK, SYNC_FOLDER = range(1, 8)


class Control(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in FIELDS]


class Disk:
    """What can fail below 'folder', for one server after the other; 'log' is a file for the changes, or None."""

    def __init__(self, folder, log=None):
        library = os.environ.get("DISK_LIBRARY")
        if not library or not os.path.exists(library):
            skip("DISK_LIBRARY does not name the library that makes a disk fail")
        self.folder, self.log, self._library = folder, log, os.path.abspath(library)
        self._file = tempfile.NamedTemporaryFile(prefix="tcpchat-disk-")
        self._file.truncate(mmap.PAGESIZE)
        self.control = Control.from_buffer(mmap.mmap(self._file.fileno(), mmap.PAGESIZE))

    def server(self, *arguments, **options):
        environment = {"PROOF_DISK_FOLDER": self.folder, "PROOF_DISK_CONTROL": self._file.name}
        if self.log is not None:
            environment["PROOF_DISK_LOG"] = self.log
        self.control.loaded = 0
        server = Server(*arguments, environment=environment, preload=self._library, **options)
        assert self.control.loaded == 1, "the library was not loaded into the server"
        return server

    def mend(self):
        for name in FIELDS[2:FIELDS.index("writes")]:
            setattr(self.control, name, 0)

    def close(self):
        self._file.close()


class File:
    def __init__(self, kept=b""):
        self.kept = bytearray(kept)
        self.pending = []  # (place in the log, change, offset, bytes)

    def sync(self, covered):
        while self.pending and self.pending[0][0] < covered:
            apply(self.kept, *self.pending.pop(0)[1:])

    def after_power_cut(self, rng):
        content = bytearray(self.kept)
        how = rng.choice(("nothing", "all", "beginning", "parts", "parts"))
        if how == "nothing":
            return content
        count = rng.randint(0, len(self.pending)) if how == "beginning" else len(self.pending)
        chance = 1.0 if how in ("all", "beginning") else rng.choice((0.1, 0.5, 0.9, 0.99))
        for _, change, offset, data in self.pending[:count]:
            if change == TRUNCATE:
                if rng.random() < chance:
                    apply(content, change, offset, data)
                continue
            for start in range(0, len(data), SECTOR):
                if chance == 1.0 or rng.random() < chance:
                    apply(content, WRITE, offset + start, data[start:start + SECTOR])
        if how == "beginning" and count < len(self.pending) and self.pending[count][1] == WRITE:  # the last one is torn
            _, _, offset, data = self.pending[count]
            apply(content, WRITE, offset, data[:rng.randint(0, len(data) // SECTOR) * SECTOR])
        return content


def apply(content, change, offset, data):
    if change == TRUNCATE:
        if offset < len(content):
            del content[offset:]
        else:
            content.extend(bytes(offset - len(content)))
        return
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(data)] = data


class Recorder:
    """Reads the log of a disk on which there was nothing at first."""

    def __init__(self, log):
        self._log = open(log, "rb")
        self.place = 0
        self.files = {}          # inode: File
        self.kept_names = {}     # name: File, as the folder was synced last
        self.pending_names = []  # (place in the log, name, File or None)
        self.writes = self.syncs = 0

    def read_to_end(self):
        """Takes in what has happened until now; nothing may be happening."""
        while True:
            head = self._log.read(RECORD.size)
            if not head:
                return
            change, size, file, offset = RECORD.unpack(head)
            data = self._log.read(size)
            assert len(data) == size, "the log ends within a record"
            self._take(change, file, offset, data)
            self.place += RECORD.size + size

    def _take(self, change, number, offset, data):
        if change == CREATE:
            self.files[number] = File()
            self.pending_names.append((self.place, os.path.basename(data), self.files[number]))
        elif change == UNLINK:
            self.pending_names.append((self.place, os.path.basename(data), None))
        elif change == SYNC:
            self.files[number].sync(offset)
            self.syncs += 1
        elif change == SYNC_FOLDER:
            while self.pending_names and self.pending_names[0][0] < offset:
                _, name, file = self.pending_names.pop(0)
                self._name(self.kept_names, name, file)
        elif change in (WRITE, TRUNCATE):
            self.files[number].pending.append((self.place, change, offset, data))
            self.writes += 1

    @staticmethod
    def _name(names, name, file):
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file

    def power_cut(self, rng, folder):
        """Fills the folder with what the disk may hold if the power is cut now."""
        names = dict(self.kept_names)
        for _, name, file in self.pending_names:
            if rng.random() < 0.5:
                self._name(names, name, file)
        for name, file in names.items():
            with open(os.path.join(os.fsencode(folder), name), "wb") as copy:
                copy.write(file.after_power_cut(rng))
