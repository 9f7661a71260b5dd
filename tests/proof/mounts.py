"""
Mounts for a proof: a small tmpfs, an ext4 in a file. They are in a mount namespace of this process alone, so they go with it,
and so do their loop devices, however it ends.
"""

import ctypes
import os
import subprocess

from talk import skip

CLONE_NEWNS = 0x00020000


def become_private():
    """Gives this process mounts of its own; skips the test where that is not allowed."""
    if os.geteuid() != 0:
        skip("mounting needs root")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        skip(f"no mount namespace of its own: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def run(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    except FileNotFoundError:
        skip(f"there is no {command[0]}")
    if done.returncode != 0:
        skip(f"{' '.join(command)}: {done.stderr.decode().strip()}")


class Mounted:
    """Something that is mounted at 'place' as long as the 'with' block runs."""

    def __init__(self, place, *arguments):
        self.place, self._arguments = place, arguments

    def __enter__(self):
        os.makedirs(self.place, exist_ok=True)
        run("mount", *self._arguments, self.place)
        return self

    def __exit__(self, *error):
        subprocess.run(["umount", self.place], capture_output=True)
        return False


def tmpfs(place, size):
    return Mounted(place, "-t", "tmpfs", "-o", f"size={size}", "tmpfs")


def ext4(place, image, options="loop"):
    return Mounted(place, "-t", "ext4", "-o", options, image)


def make_ext4(image, size, block=4096):
    """With blocks as large disks have them; small ones get smaller blocks unasked."""
    with open(image, "wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", "-F", "-b", str(block), image)
