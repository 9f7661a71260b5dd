"""What the system or a peer does to the server, and how the server goes on."""

import errno
import os
import random
import re
import signal
import tempfile
import threading

from faults import FaultyServer
from talk import BUILD_KIND, GREETING, Server, main, pump, skip, wait_for


def chat(server, prefix="", rounds=20, size=300):
    """Three join, say long lines in turn, and leave; each has to get everything, in order."""
    names = [f"{prefix}{name}" for name in ("ann", "bob", "carol")]
    clients = [server.join(name) for name in names]
    for i, client in enumerate(clients):
        client.expect(*[f'User "{name}" just joined the chat!' for name in names[i + 1:]])
    for i in range(rounds):
        for name, speaker in zip(names, clients):
            text = f"{i} " + "ä" * size
            speaker.say(text)
            for client in clients:
                client.expect(f"{name}: {text}")
    clients[0].say("/who")
    clients[0].expect(re.compile(r"\* \d+ here: .+"))
    for i, client in enumerate(clients):
        client.say("/quit")
        client.expect(f"* Goodbye {names[i]}.")
        client.expect_end()
        client.close()
        for other in clients[i + 1:]:
            other.expect(f'User "{names[i]}" just left the chat (normally)')


# ---- The journal. ----


def test_a_journal_that_cannot_be_read_is_told_and_read_again_when_it_can():
    with FaultyServer(journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        for i in range(50):
            ann.say(str(i))
            ann.expect(f"ann: {i}")
        for command in ("/history", "/search 7"):
            server.faults.read_fails = 1000000
            ann.say(command)
            line = ann.line()
            server.mend()
            assert line.startswith("! journal-unreadable: "), (command, line)
        ann.say("/history 1")
        ann.expect(re.compile(r"\[.+\] ann: 49"), re.compile(r"\* 1 message; .+"))


def test_a_journal_that_was_moved_away_is_named_in_the_log():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chat.db")
        with Server(journal="sqlite:" + path) as server:
            ann = server.join("ann")
            ann.say("kept")
            ann.expect("ann: kept")
            os.rename(path, path + ".old")
            server.log.wait("journal-failed.*the file is not there any more: it was moved or deleted.*this very file is back")
            ann.say("lost")
            ann.expect(re.compile(r"! not-stored: this could not be kept \(No such file or directory\), nobody saw it; send it again"))
            os.rename(path + ".old", path)

            def is_kept():
                ann.say("again")
                return ann.line() == "ann: again"
            wait_for(is_kept, "a line to be kept again")
            server.log.wait("journal-works-again")


def test_a_search_that_takes_too_long_is_given_up():
    """Two at a time; the third waits for them, and no longer than its own time."""
    with FaultyServer(journal="sqlite:chat.db") as server:
        names = ("ann", "bob", "carl")
        clients = [server.join(name) for name in names]
        for i, client in enumerate(clients):
            client.expect(*(f'User "{name}" just joined the chat!' for name in names[i + 1:]))
        server.faults.read_slow_ms = 2500  # one page takes longer than a search may
        for client in clients:
            client.say("/search tea")
        for client in clients:
            client.expect("! search-too-long: the search took too long; name a person (from:), a room (in:) or a time (after:)")
        server.mend()
        clients[0].say("/search tea")
        clients[0].expect("* nothing was found")


def test_one_who_is_far_behind_waits_for_a_journal_that_cannot_be_read():
    with FaultyServer("--lag-memory", "64K", journal="sqlite:chat.db") as server:
        ann = server.join("ann")
        bob = server.join("bob", receive_buffer=4096)
        ann.expect('User "bob" just joined the chat!')
        for i in range(5000):
            ann.say(f"{i} {'x' * 1000}")
            ann.expect(re.compile(f"ann: {i} x+"))
        server.faults.read_fails = 1000000
        pump([bob], lambda client: server.faults.read_failed > 2)
        ann.say("still here")
        ann.expect("ann: still here")
        server.mend()
        pump([bob], lambda client: client.buffer.endswith(b"ann: still here\n"))
        numbers = [int(line.split()[1]) for line in bob.buffer.decode().splitlines() if line.endswith("x")]
        assert numbers == list(range(5000)), numbers[-3:]


# ---- Accepting. ----


def test_without_descriptors_the_server_pauses_and_goes_on_when_there_are_some():
    with Server("--max-clients", "1000", descriptors=40) as server:
        ann = server.join("ann")
        crowd = [server.connect() for _ in range(60)]  # more than there are descriptors; the kernel holds the rest
        server.log.wait(r"accepting paused .*files")
        # It does not spin while it waits: in a second it uses little of the processor.
        before = server.cpu_seconds()
        threading.Event().wait(1)
        used = server.cpu_seconds() - before
        assert used < 0.4, f"{used} s of processor time in a second of pause"
        ann.say("meanwhile")
        ann.expect("ann: meanwhile")
        for client in crowd[:40]:
            client.close()
        server.log.wait("accepting again")
        for i, client in enumerate(crowd[40:]):
            client.say(f"late{i}")
        for i, client in enumerate(crowd[40:]):
            client.expect_welcome(f"late{i}")
        assert len(server.log.text().split("accepting paused")) < 20, "the log is flooded"


def test_errors_of_accept_do_not_end_the_server():
    with FaultyServer() as server:
        ann = server.join("ann")
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPROTO,
                       errno.EINTR, errno.EPERM):
            before = server.faults.accept_failed
            server.faults.accept_errno = number
            server.faults.accept_fails = 2
            name = errno.errorcode[number]
            client = server.connect()
            client.say(name)
            client.expect_welcome(name)
            ann.expect(f'User "{name}" just joined the chat!')
            assert server.faults.accept_failed == before + 2


def test_a_client_for_whom_there_is_no_thread_is_told_and_the_server_lives():
    with FaultyServer() as server:
        ann = server.join("ann")
        descriptors = server.descriptors()
        server.faults.create_fails = 3
        for _ in range(3):
            client = server.connect()
            lines = client.rest()
            assert len(lines) == 1 and lines[0].startswith("! server-full: "), lines
        assert server.faults.create_failed == 3
        wait_for(lambda: server.descriptors() == descriptors, "the sockets of those turned away are closed")
        bob = server.join("bob")
        ann.expect('User "bob" just joined the chat!')
        bob.say("in at last")
        ann.expect("bob: in at last")


# ---- Calls that fail, or do less than was asked. ----


def test_interrupted_calls_are_repeated():
    with FaultyServer() as server:
        for each in (2, 3, 7):
            server.faults.interrupt_each = each
            chat(server, f"e{each}-")
        assert server.faults.interrupted > 100, server.faults.interrupted
        server.mend()
        chat(server)


def test_a_stopped_and_continued_server_goes_on():
    with Server() as server:
        ann = server.join("ann")
        for i in range(30):
            server.send_signal(signal.SIGSTOP)
            ann.say(str(i))
            server.send_signal(signal.SIGCONT)  # waiting calls give EINTR now
            ann.expect(f"ann: {i}")
        chat(server, "x-", rounds=3)


def test_short_writes_lose_nothing():
    with FaultyServer() as server:
        for most in (1, 7, 100):
            server.faults.send_most = most
            chat(server, f"w{most}-", rounds=5)
        assert server.faults.send_cut > 100, server.faults.send_cut


def test_full_sockets_lose_nothing():
    with FaultyServer() as server:
        server.faults.send_full_each = 2
        chat(server)
        assert server.faults.send_full > 20, server.faults.send_full


def test_short_reads_lose_nothing():
    with FaultyServer() as server:
        server.faults.receive_most = 1
        chat(server, rounds=5, size=200)
        assert server.faults.receive_cut > 100, server.faults.receive_cut


def test_all_of_it_together_loses_nothing_and_keeps_the_order():
    lines = {"plain": 200}.get(BUILD_KIND, 40)
    with FaultyServer() as server:
        crowd = server.join_crowd(8)
        faults = server.faults
        faults.interrupt_each, faults.send_most, faults.send_full_each, faults.receive_most = 5, 60, 3, 11
        for number, client in enumerate(crowd):
            client.outgoing = b"".join(b"%d %d\n" % (number, i) for i in range(lines))
        pump(crowd, lambda client: client.buffer.count(b"\n") >= lines * len(crowd))
        heard = [client.buffer.decode().splitlines() for client in crowd]
        assert all(one == heard[0] for one in heard)
        for number in range(len(crowd)):
            own = [line for line in heard[0] if line.startswith(f"member{number}: ")]
            assert own == [f"member{number}: {number} {i}" for i in range(lines)]
        assert min(faults.interrupted, faults.send_cut, faults.send_full, faults.receive_cut) > 10


def test_one_whose_send_fails_has_lost_the_connection_and_the_others_go_on():
    for number in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.EHOSTUNREACH):
        with FaultyServer() as server:
            clients = [server.join(name) for name in ("ann", "bob", "carol")]
            for i, client in enumerate(clients):
                client.expect(*[f'User "{name}" just joined the chat!' for name in ("ann", "bob", "carol")[i + 1:]])
            server.faults.send_errno = number
            server.faults.send_fails = 1
            clients[0].say("hello")
            # The rest learns who is gone.
            pump(clients, lambda client: b"just left the chat (connection lost)\n" in client.buffer)
            gone = [client for client in clients if client.ended]
            assert len(gone) == 1 and server.faults.send_failed == 1, errno.errorcode[number]
            stay = [client for client in clients if not client.ended]
            for client in stay:
                client.expect("ann: hello", re.compile(r'User "\w+" just left the chat \(connection lost\)'))
            stay[1].say("we two")
            for client in stay:
                client.expect(re.compile(r"\w+: we two"))


# ---- Peers. ----


def test_a_reset_in_the_middle_of_a_line_says_nothing():
    with Server() as server:
        ann = server.join("ann")
        for i in range(20):
            bob = server.join(f"bob{i}")
            bob.raw(b"this is half a li")
            bob.reset()
            ann.expect(f'User "bob{i}" just joined the chat!', f'User "bob{i}" just left the chat (connection lost)')


def test_a_reset_before_and_within_the_name_is_nobody():
    with Server() as server:
        ann = server.join("ann")
        for i in range(40):
            client = server.connect()
            client.raw(b"" if i % 2 else b"half a na")
            client.reset()
        ann.say("only me")
        ann.expect("ann: only me")


def test_a_name_that_never_comes_costs_nobody_anything():
    with Server("--name-timeout", "1") as server:
        ann = server.join("ann")
        threads = server.threads()
        silent = [server.connect() for _ in range(50)]
        for client in silent:
            client.expect(GREETING, re.compile("! name-timeout: .+"))
            client.expect_end()
            client.close()
        wait_for(lambda: server.threads() == threads, "their threads have ended")
        ann.say("only me")
        ann.expect("ann: only me")


def test_a_peer_that_closes_while_it_is_written_to_does_not_end_the_server():
    with Server() as server:
        ann = server.join("ann")
        for i in range(30):  # each write to one of them may find a socket that is reset: EPIPE, and SIGPIPE if not ignored
            bob = server.join(f"bob{i}")
            ann.raw(b"x" * 1000 + b"\n")
            bob.reset()
            ann.raw(b"y\n" * 20)
            ann.expect(f'User "bob{i}" just joined the chat!')
            left = 0
            lines = 0
            while not left or lines < 21:
                line = ann.line()
                left += line.startswith(f'User "bob{i}" just left the chat (')
                lines += line.startswith("ann: ")
        server.assert_lives()


def test_sigpipe_does_not_end_the_server():
    with Server() as server:
        ann = server.join("ann")
        for i in range(20):
            server.send_signal(signal.SIGPIPE)
            ann.say(str(i))
            ann.expect(f"ann: {i}")


def test_a_log_that_nobody_reads_any_more_does_not_end_the_server():
    reader, writer = os.pipe()
    with Server(log=writer) as server:
        os.close(writer)
        ann = server.join("ann")
        os.close(reader)  # from now on writing to the log gives EPIPE
        chat(server, "x-", rounds=2)
        ann.say("/who")
        while ann.line() != "* 1 here: ann":
            pass


def test_garbage_harms_nobody():
    """Random bytes, always the same: lines, control characters, telnet commands, anything."""
    source = random.Random(20261121)
    with Server() as server:
        ann = server.join("ann")
        for i in range({"plain": 150}.get(BUILD_KIND, 30)):
            client = server.connect()
            try:
                if i % 3:
                    client.raw(b"garbage%d\n" % i)
                for _ in range(source.randrange(1, 4)):
                    client.raw(source.randbytes(source.randrange(1, 20000)))
                if i % 2:
                    client.half_close()
            except OSError:
                pass  # it may have been disconnected for its name
            if i % 5 == 0:
                client.reset()
            else:
                pump([client], lambda client: not i % 2 or client.ended)
                client.close()
        ann.say("the end")
        line = ""
        while line != "ann: the end":
            line = ann.line()  # valid UTF-8, or this fails
            bad = [c for c in line if (ord(c) < 0x20 and c != "\t") or 0x7F <= ord(c) < 0xA0]
            assert not bad, f"{bad} reached somebody: {line[:200]!r}"
        chat(server, "x-", rounds=2)


def test_a_flood_of_empty_lines_is_only_that():
    count = {"plain": 50000}.get(BUILD_KIND, 5000)
    with Server() as server:
        bob = server.join("bob")
        bob.outgoing = b"\n" * count
        pump([bob], lambda client: client.buffer.count(b"\n") >= count)
        assert bob.buffer == b"bob: \n" * count


# ---- Memory. ----


def fail_memory(server, least, most):
    """The next allocation of these sizes fails."""
    server.faults.memory_least = least
    server.faults.memory_most = most
    server.faults.memory_fails = 1


def test_without_memory_a_client_is_told_and_goes_on():
    if BUILD_KIND != "plain":
        skip("a sanitizer has its own memory")
    with FaultyServer() as server:
        ann = server.join("ann")
        for count, (line, code) in enumerate((
                ("/rooms", "no-memory"), ("/who", "no-memory"),  # the lists are of 60 and of 40 KB
                ("/msg " + "x" * 40000, "no-memory"), ("\x1b" + "x" * 15000, "not-stored"))):
            fail_memory(server, 35000, 65000)  # what is read at a time, 64 KiB, is there
            ann.say(line)
            ann.expect(re.compile(f"! {code}: .+; (send it again|try again later)"))
            assert server.faults.memory_failed == count + 1
        ann.say("/rooms")
        ann.expect("* 1 room:", "* lobby (1)")
        fail_memory(server, 800, 800)  # the list of those whom one ignores
        ann.say("/ignore ann")
        ann.expect("! no-memory: the server has no memory for this now; try again later")
        ann.say("/ignore ann")
        ann.expect("* you ignore ann; /ignore ann again ends that")


if __name__ == "__main__":
    main()
