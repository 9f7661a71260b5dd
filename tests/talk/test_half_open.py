"""
A peer whose machine or network is gone sends neither an end nor a reset. The server has to notice by itself.

The test runs in a network namespace of its own, with a second one at the other end of a virtual cable that is pulled. All
of it vanishes with the processes. Where namespaces are not permitted the test is skipped.
"""

import re
import select
import time
from contextlib import contextmanager

from namespaces import Namespace, in_namespace
from talk import DEADLINE, Server, main

HERE = "10.213.77.1"
THERE = "10.213.77.2"


class Cable:
    def __init__(self, namespace):
        self.namespace = namespace
        namespace.cable("talk", HERE, THERE)

    def connect(self, server):
        """A client at the other end."""
        with self.namespace.inside():
            return server.connect(place=(HERE, server.port))

    def pull(self):
        self.namespace.run("ip", "link", "set", "talk1", "down")

    def plug(self):
        self.namespace.run("ip", "link", "set", "talk1", "up")


@contextmanager
def cable():
    namespace = Namespace()
    try:
        yield Cable(namespace)
    finally:
        namespace.close()


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
