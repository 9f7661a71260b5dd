"""
One chat, whatever the way in: lines, event mode, tcpclient, both WebSockets, server-sent events, curl, two services of gRPC and a
browser, each plain and through TLS. Each says 100 messages, and each hears all of them, with the same numbers, times and texts, once and in order; also
when the server is killed in the middle.
"""

import http.client
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time

for folder in "talk", "proof", "web":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", folder))

import grpc_client
import test_page
from peers import BrowserPeer, ChatroomPeer, ClientPeer, CurlPeer, EventPeer, GoChatPeer, GrpcPeer, LinePeer, StreamPeer, WebSocketPeer
from phoenix import Phoenix
from talk import BUILD_KIND, DEADLINE, Server, Skip, main, skip

COUNT = {"plain": 100, "asan": 25, "tsan": 10}.get(BUILD_KIND, 10)
KINDS = (LinePeer, EventPeer, ClientPeer, WebSocketPeer, GoChatPeer, StreamPeer, CurlPeer)
GRPC_KINDS = (GrpcPeer, ChatroomPeer)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class House:
    """Where the peers meet: a server at one port, which may be killed and started again."""

    def __init__(self):
        self.place = f"127.0.0.1:{free_port()}"
        self.folder = None
        self.up = threading.Event()
        self.over = False
        self.expected = 0
        self.phoenix = Phoenix(self.make)

    def make(self):
        return Server("--tls", "self", listen=(self.place,), journal=f"sqlite:{self.folder}/chat.db", history="none",
                      environment={"STATE_DIRECTORY": self.folder})

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="tcpchat-matrix-")
        self.folder = self.temporary.name
        self.phoenix.start()
        (match,) = self.phoenix.server.output.wait(r"fingerprint: (SHA256:\S+)")
        self.fingerprint = match.group(1)
        self.certificate = os.path.join(self.folder, "chat-tls.pem")
        self.up.set()
        return self

    def __exit__(self, kind, error, trace):
        self.over = True
        try:
            return self.phoenix.__exit__(kind, error, trace)
        finally:
            self.temporary.cleanup()

    def port(self):
        self.up.wait(DEADLINE)
        return int(self.place.rpartition(":")[2])

    def wait_for_change(self, port):
        """After a connection broke: until the server is there (again)."""
        time.sleep(0.02)
        self.up.wait(DEADLINE)

    def give_up(self):
        self.over = True

    def wait_for_last(self):
        """The number of the last message, when all have been said; None if that does not come to be."""
        while len(self.watched.texts()) < self.expected:
            if self.over:
                return None
            time.sleep(0.02)
        return self.watched.texts()[-1][0]

    def kill(self):
        self.up.clear()
        self.phoenix.kill()
        self.phoenix.start()
        self.up.set()

    def messages(self):
        return self.messages_at(self.port())

    @staticmethod
    def messages_at(port):
        """What is kept, by number."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        kept = []
        while True:
            connection.request("GET", f"/rooms/lobby/messages?limit=1000&after={kept[-1]['seq'] if kept else 0}")
            page = json.load(connection.getresponse())["messages"]
            if not page:
                connection.close()
                return kept
            kept += page


def wait_for_all(house, peers, seconds):
    end = time.monotonic() + seconds
    for peer in peers:
        while peer.is_alive() and not house.over and time.monotonic() < end:
            peer.join(0.2)
    failed = [f"{peer.called}: {peer.failure!r}" for peer in peers if peer.failure is not None]
    late = [f"{peer.called} has said {peer.said} and heard {len(peer.texts())} of {house.expected}" for peer in peers if peer.is_alive()]
    assert not failed and not late, "\n".join(failed + late)


def compare(house, peers):
    kept = [event for event in house.messages() if event["kind"] == "message"]
    wanted = [(event["seq"], event["at"], event["participant"], event["text"]) for event in kept]
    said = sorted((name, int(text.rpartition(" ")[2])) for _, _, name, text in wanted)
    meant = sorted((peer.called, number) for peer in peers for number in range(peer.count))
    lost, doubled = sorted(set(meant) - set(said)), sorted(one for one, other in zip(said, said[1:]) if one == other)
    assert said == meant, f"lost {lost}, doubled {doubled}, by somebody else {sorted(set(said) - set(meant))}"
    for peer in peers:
        heard = peer.texts()
        if peer.hides_own:
            own = [entry[3] for entry in heard if entry[2] == peer.called]
            assert own == [f"{peer.called} {number}" for number in range(len(own))], peer.called
            heard = [entry for entry in heard if entry[2] != peer.called]
            compared = [entry for entry in wanted if entry[2] != peer.called]
        else:
            compared = wanted
        if heard and heard[0][0] is None:
            compared = [(None, None, *entry[2:]) for entry in compared]
        for one, other in zip(heard, compared):
            assert one == other, f"{peer.called} heard {one} in place of {other}"
        assert len(heard) == len(compared), f"{peer.called} heard {len(heard)} messages of {len(compared)}"


def all_kinds():
    """Without gRPC, where the server or this Python has none."""
    if "PROTOS" not in os.environ:
        return KINDS
    try:
        grpc_client.protos()
        return KINDS + GRPC_KINDS
    except Skip as reason:
        print(f"not by gRPC: {reason}", flush=True)
        return KINDS


def talk_among(kinds, kills, make_house=House):
    if shutil.which("curl") is None:
        skip("there is no curl")
    with make_house() as house:
        peers = [kind(house, secure, COUNT) for kind in kinds for secure in (False, True)]
        house.expected = len(peers) * COUNT
        house.watched = next(peer for peer in peers if isinstance(peer, EventPeer))
        for peer in peers:
            peer.start()
        for number in range(kills):
            goal = house.expected * (number + 1) // (kills + 1)
            while len(house.watched.texts()) < goal and not house.over:
                time.sleep(0.005)
            house.kill()
        wait_for_all(house, peers, 6 * DEADLINE)
        compare(house, peers)
        print(f"{len(peers)} ways in, {house.expected} messages, {kills} kills,"
              f" {sum(peer.connections for peer in peers)} connections", flush=True)


def test_each_way_in_hears_the_same():
    talk_among(all_kinds(), 0)


def test_each_way_in_hears_the_same_when_the_server_is_killed():
    talk_among(all_kinds(), 1)


def test_each_way_in_hears_the_same_when_the_server_is_killed_again_and_again():
    talk_among(all_kinds(), 5)


def test_a_browser_hears_the_same_as_all_others():
    test_page.browser(), test_page.packages()  # or this is skipped
    talk_among((*all_kinds(), BrowserPeer), 0)


def test_a_browser_hears_the_same_as_all_others_when_the_server_is_killed():
    test_page.browser(), test_page.packages()
    talk_among((*all_kinds(), BrowserPeer), 2)


if __name__ == "__main__":
    main(12 * DEADLINE)
