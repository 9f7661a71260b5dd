"""
Network namespaces of a test's own: what it does to its network, nobody else sees, and all of it vanishes with its processes.
Where namespaces are not permitted the test is skipped.
"""

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

from talk import DEADLINE, SKIPPED, skip, wait_for

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode != 0:
        skip(f"`{' '.join(command)}` is not permitted or not possible here: {done.stderr.strip()}")


def in_namespace(test, seconds=3 * DEADLINE):
    """Runs this test of the script again, in a namespace of its own, unless this is that run."""
    if os.environ.get("TALK_NAMESPACE") == "own":
        run("ip", "link", "set", "lo", "up")
        return False
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            skip(f"there is no {tool}")
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    run(*command, "true")
    done = subprocess.run([*command, sys.executable, os.path.abspath(sys.argv[0]), test.__name__],
                          env=dict(os.environ, TALK_NAMESPACE="own"), timeout=seconds)
    if done.returncode == SKIPPED:
        skip("see above")
    assert done.returncode == 0, f"the run in the namespace ended with {done.returncode}"
    return True


class Namespace:
    """Another one, which lives as long as a sleeping process."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
        self.path = f"/proc/{self.process.pid}/ns/net"
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(self.path) != own, "the other namespace")

    def run(self, *command):
        run("nsenter", f"--net={self.path}", *command)

    def cable(self, name, here, there):
        """A cable between the two, NAME0 here and NAME1 there, with an address at each end."""
        run("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", f"{name}1", "netns", str(self.process.pid))
        run("ip", "address", "add", f"{here}/30", "dev", f"{name}0")
        run("ip", "link", "set", f"{name}0", "up")
        self.run("ip", "address", "add", f"{there}/30", "dev", f"{name}1")
        self.run("ip", "link", "set", f"{name}1", "up")

    @contextmanager
    def inside(self):
        """What this thread makes meanwhile, sockets or processes, is there."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        other = os.open(self.path, os.O_RDONLY)
        try:
            if libc.setns(other, CLONE_NEWNET) != 0:
                skip(f"setns(): {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                assert libc.setns(own, CLONE_NEWNET) == 0
        finally:
            os.close(own)
            os.close(other)

    def close(self):
        self.process.stdin.close()
        self.process.wait(DEADLINE)
