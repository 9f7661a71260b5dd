"""
A peer whose machine or network is gone sends neither an end nor a reset. The server has to notice by itself.

The test runs in a network namespace of its own, with a second one at the other end of a virtual cable that is pulled. All
of it vanishes with the processes. Where namespaces are not permitted the test is skipped.
"""

import ctypes
import os
import re
import select
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

from talk import DEADLINE, SKIPPED, Server, main, skip, wait_for

HERE = "10.213.77.1"
THERE = "10.213.77.2"
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode != 0:
        skip(f"`{' '.join(command)}` is not permitted or not possible here: {done.stderr.strip()}")


def in_namespace(test):
    """Runs this test again, in a namespace of its own, unless this is that run."""
    if os.environ.get("TALK_NAMESPACE") == "own":
        return False
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            skip(f"there is no {tool}")
    command = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    run(*command, "true")
    done = subprocess.run([*command, sys.executable, os.path.abspath(__file__), test.__name__],
                          env=dict(os.environ, TALK_NAMESPACE="own"), timeout=3 * DEADLINE)
    if done.returncode == SKIPPED:
        skip("see above")
    assert done.returncode == 0, f"the run in the namespace ended with {done.returncode}"
    return True


class Cable:
    """The other end of the cable is in a namespace that lives as long as a sleeping process."""

    def __init__(self, process):
        self.process = process
        self.namespace = f"/proc/{process.pid}/ns/net"

    def there(self, *command):
        run("nsenter", f"--net={self.namespace}", *command)

    def connect(self, server):
        """A client at the other end."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        other = os.open(self.namespace, os.O_RDONLY)
        try:
            if libc.setns(other, CLONE_NEWNET) != 0:
                skip(f"setns(): {os.strerror(ctypes.get_errno())}")
            try:
                return server.connect(place=(HERE, server.port))
            finally:
                assert libc.setns(own, CLONE_NEWNET) == 0
        finally:
            os.close(own)
            os.close(other)

    def pull(self):
        self.there("ip", "link", "set", "talk1", "down")

    def plug(self):
        self.there("ip", "link", "set", "talk1", "up")


@contextmanager
def cable():
    process = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
    try:
        own = os.readlink("/proc/self/ns/net")
        wait_for(lambda: os.readlink(f"/proc/{process.pid}/ns/net") != own, "the other namespace")
        result = Cable(process)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "talk0", "type", "veth", "peer", "name", "talk1", "netns", str(process.pid))
        run("ip", "address", "add", f"{HERE}/30", "dev", "talk0")
        run("ip", "link", "set", "talk0", "up")
        result.there("ip", "address", "add", f"{THERE}/30", "dev", "talk1")
        result.plug()
        yield result
    finally:
        process.stdin.close()
        process.wait(DEADLINE)


def join_both(server, line):
    ann = server.join("ann")
    bob = line.connect(server)
    bob.say("bob")
    bob.expect_welcome("bob")
    ann.expect('User "bob" just joined the chat!')
    return ann, bob


def test_a_silent_peer_that_vanished_is_noticed():
    if in_namespace(test_a_silent_peer_that_vanished_is_noticed):
        return
    with cable() as line, Server("--peer-timeout", "3", listen=("0.0.0.0:0",)) as server:
        ann, _ = join_both(server, line)
        line.pull()
        ann.expect('User "bob" just left the chat (connection lost)')
        server.log.wait(r'left name="bob" .*why="')


def test_a_peer_that_vanished_while_it_is_talked_to_is_noticed():
    if in_namespace(test_a_peer_that_vanished_while_it_is_talked_to_is_noticed):
        return
    with cable() as line, Server("--peer-timeout", "3", listen=("0.0.0.0:0",)) as server:
        ann, _ = join_both(server, line)
        line.pull()
        gone = 'User "bob" just left the chat (connection lost)'
        heard = []
        start = time.monotonic()
        while gone not in heard:  # what ann says meanwhile, some twenty lines a second, is never acknowledged by bob
            assert time.monotonic() - start < DEADLINE, "bob is still thought to be there"
            ann.say("bob?")
            heard.append(ann.line())
            select.select([ann.socket], [], [], 0.05)
        assert set(heard) == {"ann: bob?", gone}, set(heard)


def test_a_peer_that_was_cut_off_for_a_moment_stays():
    if in_namespace(test_a_peer_that_was_cut_off_for_a_moment_stays):
        return
    with cable() as line, Server("--peer-timeout", "30", listen=("0.0.0.0:0",)) as server:
        ann, bob = join_both(server, line)
        line.pull()
        ann.say("can you hear me?")
        ann.expect("ann: can you hear me?")
        line.plug()
        bob.expect("ann: can you hear me?")
        bob.say("yes")
        ann.expect("bob: yes")


def test_the_server_ends_in_time_with_a_peer_that_vanished():
    if in_namespace(test_the_server_ends_in_time_with_a_peer_that_vanished):
        return
    with cable() as line, Server("--peer-timeout", "60", listen=("0.0.0.0:0",)) as server:
        ann, _ = join_both(server, line)
        line.pull()
        ann.say("bob?")
        ann.expect("ann: bob?")
        server.stop()
        ann.expect(re.compile(r"== The server\(127\.0\.0\.1:\d+\) was terminated .+"))


if __name__ == "__main__":
    main()
