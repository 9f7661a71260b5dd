"""Those who read slowly or not at all: nobody else notices, the server's memory stays bounded, and they stay."""

import re
import signal
import socket

import websocket
from events import join_events
from talk import BUILD_KIND, Server, main, pump, skip, wait_for

KIB = 1024
MIB = 1024 * KIB
LINE = b"%06d " + b"x" * 1000 + b"\n"
LINES = {"plain": 30000}.get(BUILD_KIND, 8000)  # 30 MB, far more than the kernel keeps for a connection
BATCH = 50
SMALL = 4 * KIB  # the receive buffer of those who do not read


def numbers(lines, name):
    return [int(line.split()[1]) for line in lines if line.startswith(f"{name}: ")]


def without_lag(lines):
    """The lines without those that tell a slow reader how far behind it is; it is told once."""
    told = [line for line in lines if re.fullmatch(r"\* You are \d+ messages behind; /latest goes to what is said now\.", line)]
    assert len(told) <= 1, told
    return [line for line in lines if line not in told]


def talk_at(server):
    """
    Two talk and read while somebody does not read; returns the lines that both of them got, and the two. They go on only
    when both have read everything, and never have more to read than the smallest --lag-memory here, 64 KiB: so they are
    never slow themselves, however busy the machine is.
    """
    fast = server.join("fast")
    other = server.join("other")
    fast.expect('User "other" just joined the chat!')
    lines = []
    for start in range(0, LINES, BATCH):
        fast.outgoing = b"".join(LINE % i for i in range(start, start + BATCH))
        other.outgoing = b"%06d\n" % start
        pump([fast, other], lambda client: client.buffer.count(b"\n") > BATCH)
        assert fast.buffer == other.buffer
        lines += fast.buffer.decode().splitlines()
        fast.buffer.clear()
        other.buffer.clear()
    assert numbers(lines, "fast") == list(range(LINES))
    assert numbers(lines, "other") == list(range(0, LINES, BATCH))
    return lines, fast, other


def read_on(slow, fast):
    """The slow one reads at last, up to a line that is said now."""
    fast.say("the end")
    end = b"fast: the end\n"
    pump([slow], lambda client: client.buffer.endswith(end))
    lines = slow.buffer.decode().splitlines()
    slow.buffer.clear()
    return without_lag(lines)


def test_one_who_does_not_read_is_told_how_much_it_missed():
    with Server("--lag-memory", "64K", journal="memory:1000") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        whole, fast, _ = talk_at(server)
        whole = ['User "fast" just joined the chat!', 'User "other" just joined the chat!', *whole, "fast: the end"]
        lines = read_on(slow, fast)
        told = [re.fullmatch(r"\* \((\d+) messages skipped\)", line) for line in lines]
        assert any(told), "it was not told that anything is missing"
        # What it got, with the holes filled in, is all there was.
        place = 0
        for line, skipped in zip(lines, told):
            if skipped:
                place += int(skipped.group(1))
                continue
            assert line == whole[place], f"message {place} is wrong: {line[:80]!r} instead of {whole[place][:80]!r}"
            place += 1
        assert place == len(whole)
        slow.say("I am still here")
        slow.expect("slow: I am still here")
        fast.expect("fast: the end", "slow: I am still here")


def test_with_much_lag_memory_nothing_is_skipped():
    with Server("--lag-memory", "256M") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        whole, fast, _ = talk_at(server)
        lines = read_on(slow, fast)
        assert lines == ['User "fast" just joined the chat!', 'User "other" just joined the chat!', *whole,
                         "fast: the end"], f"{len(lines)} lines instead of {len(whole) + 3}"


def test_what_the_journal_still_has_is_not_skipped():
    with Server("--lag-memory", "64K", journal=f"memory:{LINES + 1000}") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        whole, fast, _ = talk_at(server)
        lines = read_on(slow, fast)
        assert lines == ['User "fast" just joined the chat!', 'User "other" just joined the chat!', *whole,
                         "fast: the end"], f"{len(lines)} lines instead of {len(whole) + 3}"


def test_a_slow_reader_that_catches_up_while_others_talk_misses_nothing():
    with Server("--lag-memory", "64K", journal=f"memory:{2 * LINES + 1000}") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        whole, fast, other = talk_at(server)
        fast.outgoing = b"".join(b"%06d again\n" % i for i in range(LINES // 2)) + b"the end\n"
        end = b"fast: the end\n"
        pump([slow, fast, other], lambda client: client.buffer.endswith(end))
        wanted = ['User "fast" just joined the chat!', 'User "other" just joined the chat!', *whole,
                  *fast.buffer.decode().splitlines()]
        assert without_lag(slow.buffer.decode().splitlines()) == wanted


def test_memory_is_bounded_however_far_behind_readers_are():
    if BUILD_KIND != "plain":
        skip("a sanitizer's own memory hides the server's")
    with Server("--lag-memory", "256K", journal="memory:1000") as server:
        crowd = [server.join(f"slow{i}", receive_buffer=SMALL) for i in range(10)]
        before = server.memory()
        talk_at(server)
        grown = server.memory() - before
        # 30 MB were said to ten who did not read: 1 MB is in the journal, 256 KiB of log at most are held by laggards.
        assert grown < 12 * MIB, f"the server has grown by {grown / MIB:.1f} MiB"


def test_one_who_only_writes_and_never_reads_harms_nobody():
    with Server("--lag-memory", "256K") as server:
        shouter = server.join("shouter", receive_buffer=SMALL)
        ann = server.join("ann")
        shouter.socket.setblocking(False)
        before = server.memory()
        for i in range(200):
            try:
                shouter.socket.send(b"la la la\n" * 1000)
            except BlockingIOError:
                pass  # the server does not listen to it now, which is its right
            ann.say(str(i))
            while ann.line() != f"ann: {i}":
                pass
        grown = server.memory() - before
        assert BUILD_KIND != "plain" or grown < 32 * MIB, f"the server has grown by {grown / MIB:.1f} MiB"
        shouter.reset()
        ann.say("quiet at last")
        while ann.line() != 'User "shouter" just left the chat (connection lost)':
            pass


def test_what_one_sends_who_does_not_read_is_delivered_when_it_reads_on():
    with Server("--lag-memory", "64K", journal="memory:1000") as server:
        bob = server.join("bob", receive_buffer=SMALL)
        ann = server.join("ann")
        bob.expect('User "ann" just joined the chat!')
        count = 10000
        bob.outgoing = b"".join(LINE % i for i in range(count))
        bob.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
        bob.socket.setblocking(False)
        try:
            while bob.outgoing:  # until the server does not listen any more
                bob.outgoing = bob.outgoing[bob.socket.send(bob.outgoing[:65536]):]
        except BlockingIOError:
            pass
        assert len(bob.outgoing) > MIB, "the server has taken nearly all of it"
        ann.say("is anybody here?")
        while ann.line() != "ann: is anybody here?":
            pass
        last = b"bob: " + LINE % (count - 1)
        pump([bob], lambda client: client.buffer.endswith(last))
        lines = bob.buffer.decode().splitlines()
        lines = without_lag(lines)
        assert numbers(lines, "bob") == list(range(count)) and len(lines) == count + 1


def flood_without_reading(flood):
    """Somebody sends what makes the server answer, and reads no answer; ann talks meanwhile."""
    with Server() as server:
        silent = server.join("silent", receive_buffer=SMALL)
        ann = server.join("ann")
        silent.socket.setblocking(False)
        before = server.memory()
        sent = 0
        for i in range(300):
            try:
                sent += silent.socket.send(flood * (60000 // len(flood)))
            except BlockingIOError:
                pass
            ann.say(str(i))
            ann.expect(f"ann: {i}")
        grown = server.memory() - before
        assert BUILD_KIND != "plain" or grown < 16 * MIB, f"{sent} bytes made the server grow by {grown / MIB:.1f} MiB"


def test_answers_that_nobody_reads_do_not_pile_up():
    flood_without_reading(b"/help\n")


def test_errors_that_nobody_reads_do_not_pile_up():
    flood_without_reading(b"/nonsense\n")


def test_telnet_answers_that_nobody_reads_do_not_pile_up():
    flood_without_reading(b"\xff\xfd\x01")


def test_one_who_reads_little_by_little_gets_everything():
    with Server("--lag-memory", "256M") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        fast = server.join("fast")
        for i in range(300):
            fast.say(LINE[:-1] % i)
            fast.expect(re.compile(f"fast: {i:06} x+"))
            if i % 3 == 0:
                slow.buffer += slow.socket.recv(100)
        slow.expect('User "fast" just joined the chat!', *[re.compile(f"fast: {i:06} x+") for i in range(300)])


def test_one_who_does_not_read_for_longer_than_the_peer_timeout_stays():
    with Server("--peer-timeout", "3", "--lag-memory", "256M", "--name-timeout", "9") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        whole, fast, _ = talk_at(server)
        clock = server.connect()
        assert re.match("! name-timeout: ", clock.rest()[-1])  # nine seconds have passed: three times the peer timeout
        lines = read_on(slow, fast)
        assert lines == ['User "fast" just joined the chat!', 'User "other" just joined the chat!', *whole,
                         "fast: the end"]


def test_one_who_was_slow_and_quits_does_not_keep_the_server_busy():
    with Server("--lag-memory", "64K", journal="memory:100") as server:
        crowd = [server.join(f"slow{i}", receive_buffer=SMALL) for i in range(20)]
        _, fast, _ = talk_at(server)
        threads = server.threads()
        for client in crowd:
            client.say("/quit")  # and it does not close its own side
        pump(crowd, lambda client: client.ended)
        before = server.cpu_seconds()
        wait_for(lambda: server.threads() <= threads - len(crowd), "those who quit are gone")
        used = server.cpu_seconds() - before
        assert BUILD_KIND != "plain" or used < 0.3, f"{used} s of processor time for 20 who quit"
        assert all(b"\n* Goodbye slow" in client.buffer for client in crowd)
        fast.expect(*[re.compile(r'User "slow\d+" just left the chat \(normally\)')] * 20)


def test_shutting_down_does_not_wait_for_one_who_does_not_read():
    with Server("--lag-memory", "256M") as server:
        slow = server.join("slow", receive_buffer=SMALL)
        talk_at(server)
        server.stop()


# ---- Those who ask, and do not read the answers. ----

ASKERS = 20


def line_asker(server, i):
    client = server.join(f"asker{i}", receive_buffer=SMALL)
    return client.socket, b"/help\n"


def event_asker(server, i):
    client = join_events(server, f"asker{i}").client
    return client.socket, b'{"op":"help"}\n'


def websocket_asker(server, i):
    return websocket.join(server, f"asker{i}").client.socket, websocket.frame(websocket.TEXT, '{"op":"help"}')


def go_chat_asker(server, i):
    return websocket.GoChat(server).client.socket, websocket.frame(websocket.TEXT, "{}")


def test_memory_is_bounded_however_much_is_asked_by_those_who_do_not_read():
    """64 KiB of requests hold thousands, and an answer may be a hundred times as long: each of them was given at once."""
    if BUILD_KIND != "plain":
        skip("a sanitizer's own memory hides the server's")
    for ask in (line_asker, event_asker, websocket_asker, go_chat_asker):
        with Server() as server:
            ann = server.join("ann")
            askers = [ask(server, i) for i in range(ASKERS)]
            before = server.memory()
            for asker, _ in askers:
                asker.setblocking(False)
            for i in range(30):
                for asker, request in askers:
                    try:
                        asker.send(request * (256 * KIB // len(request)))
                    except BlockingIOError:
                        pass  # it is not listened to before it reads
                ann.say(str(i))
                while ann.line() != f"ann: {i}":
                    pass
            grown = (server.memory() - before) / ASKERS
            # What it asked and the answers, 64 KiB each, and what they take beside them.
            assert grown < 400 * KIB, f"{ask.__name__}: {grown / KIB:.0f} KiB each"


def test_who_asks_much_at_once_and_reads_late_is_answered_and_heard():
    """It stays, and the others read what it said as soon as it was its turn."""
    count = 1000
    with Server() as server:
        ann = server.join("ann")
        asker = server.join("asker", receive_buffer=SMALL)
        ann.expect('User "asker" just joined the chat!')
        asker.raw(b"".join(b"/help\n/ping %d\nsaid %d\n" % (i, i) for i in range(count)))
        asker.half_close()
        ann.expect("asker: said 0")
        lines = []
        while not lines or lines[-1] != f"asker: said {count - 1}":
            lines.append(asker.line())
        assert [line for line in lines if line.startswith("* pong")] == [f"* pong {i}" for i in range(count)]
        assert numbers([line.replace("said ", "") for line in lines], "asker") == list(range(count))
        ann.expect(*[f"asker: said {i}" for i in range(1, count)], 'User "asker" just left the chat (normally)')


def test_who_asks_much_and_breaks_off_was_heard_before():
    with Server() as server:
        ann = server.join("ann")
        asker = server.join("asker", receive_buffer=SMALL)
        ann.expect('User "asker" just joined the chat!')
        asker.raw(b"said 1\n" + b"/help\n" * 5000)
        ann.expect("asker: said 1")
        asker.reset()
        ann.expect(re.compile(r'User "asker" just left the chat \(connection lost\)'))


def test_the_server_stops_while_answers_wait_for_their_reader():
    with Server() as server:
        asker = server.join("asker", receive_buffer=SMALL)
        asker.raw(b"said 1\n" + b"/help\n" * 5000)
        asker.expect("asker: said 1")
        server.send_signal(signal.SIGTERM)
        assert server.ended() == 0


if __name__ == "__main__":
    main()
