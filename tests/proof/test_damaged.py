"""
Proof: a damaged journal never brings the server down.

Copies of a small database, with its log, are damaged by chance: bytes changed, pages zeroed, swapped or doubled, files cut short or
gone. The server starts on each, or refuses with an exit code and a message that names the file; and where it runs, clients
read, search and write without it ending, or a sanitizer finding anything. The same for --check and --salvage.

100 copies, with CHAT_PROOF=long 3,000. CHAT_PROOF_SEED chooses the damage; each copy has a seed of its own, which is told when
it fails: CHAT_PROOF_DAMAGE=SEED damages one copy in just that way.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile

from strict import is_long, seed, time_limit
from talk import (BUILD_KIND, DEADLINE, SANITIZER_REPORT, Client, Lines, _PR_SET_PDEATHSIG, _libc, clean_environment, main, program,
                  scaled, Server)

PAGE = 4096


def fill(server):
    """Rooms, topics, messages long and short, marks, some of which were sent with a number."""
    client = Client(("127.0.0.1", server.port))
    requests = [{"op": "session", "session": "0123456789abcdef" * 2, "name": "bob", "after": 0}]
    for room in ("tea", "milk tea", "coffee"):
        requests.append({"op": "join", "room": room, "after": 0})
        requests.append({"op": "topic", "text": f"all about {room}"})
    for number in range(1, 400):
        requests.append({"op": "send", "room": ("lobby", "tea", "coffee")[number % 3], "id": number,
                         "text": f"word{number % 17} and word{number % 5} " + "x" * (number * number % 700)})
    requests.append({"op": "send", "room": "tea", "id": 400, "text": "long " * 6000})
    requests.append({"op": "mark", "seq": 50, "room": "tea"})
    requests.append({"op": "ping", "text": "end"})
    talk_to(client, requests)
    client.close()


def talk_to(client, requests):
    """Sends them, and reads until the last was answered. Returns False when the connection ended before."""
    client.outgoing = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    client.socket.settimeout(DEADLINE)
    try:
        client.raw(client.outgoing)
        while b'"kind":"pong"' not in client.buffer:
            del client.buffer[:-200]
            if not client._receive():
                return False
        return True
    except ConnectionError:
        return False


def make_originals(folder):
    """Two databases: one of a server that was killed, with much in its log; one of a server that ended well."""
    originals = []
    for name in ("killed", "ended"):
        place = os.path.join(folder, name)
        os.mkdir(place)
        server = Server(journal=f"sqlite:{place}/chat.db")
        with server:
            fill(server)
            if name == "killed":
                server.send_signal(signal.SIGKILL)
                server.ended()
        originals.append(place)
    return originals


# ---- Damage. ----


def flip(data, rng):
    for _ in range(rng.choice((1, 1, 3, 20, 300))):
        place = rng.randrange(len(data))
        data[place] = rng.choice((0, 0xFF, data[place] ^ 1 << rng.randrange(8), rng.randrange(256)))


def flip_head(data, rng):
    """Where a database, a log, or a page tells what it is."""
    start = rng.choice((0, 100, PAGE * rng.randrange(max(1, len(data) // PAGE))))
    for _ in range(rng.randint(1, 8)):
        data[min(start + rng.randrange(32), len(data) - 1)] = rng.randrange(256)


def set_number(data, rng):
    """A number of 2 or 4 bytes becomes one that is at some limit."""
    place = rng.randrange(max(1, len(data) - 4))
    number = rng.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data) // PAGE + 1))
    data[place:place + 4] = struct.pack(">I", number)


def zero_page(data, rng):
    page = rng.randrange(max(1, len(data) // PAGE)) * PAGE
    data[page:page + PAGE] = bytes(len(data[page:page + PAGE]))


def noise_page(data, rng):
    page = rng.randrange(max(1, len(data) // PAGE)) * PAGE
    data[page:page + PAGE] = rng.randbytes(len(data[page:page + PAGE]))


def swap_pages(data, rng):
    pages = max(1, len(data) // PAGE)
    one, other = rng.randrange(pages) * PAGE, rng.randrange(pages) * PAGE
    data[one:one + PAGE], data[other:other + PAGE] = data[other:other + PAGE], data[one:one + PAGE]


def double_page(data, rng):
    pages = max(1, len(data) // PAGE)
    one, other = rng.randrange(pages) * PAGE, rng.randrange(pages) * PAGE
    data[one:one + PAGE] = data[other:other + PAGE]


def cut(data, rng):
    del data[rng.choice((0, rng.randrange(len(data)), rng.randrange(len(data)) // PAGE * PAGE, 16, 100)):]


def grow(data, rng):
    data += rng.randbytes(rng.choice((1, 100, PAGE, 10 * PAGE)))


DAMAGES = (flip, flip, flip_head, set_number, set_number, zero_page, noise_page, swap_pages, double_page, cut, grow)

# What a value in a row may be, if the file is anybody's work: the pages are in order, and the content is not.
ROWS = (
    "UPDATE message SET {0} = {1} WHERE place % 7 = 3",
    "UPDATE room SET {0} = {1} WHERE number = 2",
    "UPDATE room SET {0} = {1}",
    "UPDATE sent SET {0} = {1} WHERE id % 5 = 1",
    "UPDATE mark SET {0} = {1}",
    "DELETE FROM {2} WHERE rowid % 3 = 1",
    "DROP TABLE {2}",
    "DROP TABLE {2}; CREATE TABLE {2}(it)",
    "PRAGMA user_version = {3}",
)
COLUMNS = ("place", "at", "kind", "participant", "text", "id", "name", "key", "creator", "topic", "capacity", "flags", "created",
           "next", "client", "number", "room", "seq", "indexed")
VALUES = ("NULL", "-1", "0", "9223372036854775807", "-9223372036854775808", "1e300", "''", "'x'", "x'ff00fe'", "zeroblob(100000)",
          "printf('%.*c', 70000, 'y')", "char(0)", "char(10)", "x'c3'", "4", "255", "1000000")


def damage_rows(path, rng):
    database = sqlite3.connect(path)
    try:
        for _ in range(rng.randint(1, 3)):
            with contextlib.suppress(sqlite3.Error):
                database.executescript("PRAGMA foreign_keys=OFF; " + rng.choice(ROWS).format(
                    rng.choice(COLUMNS), rng.choice(VALUES), rng.choice(("message", "room", "sent", "mark", "word", "word_data")),
                    rng.choice((0, 1, 2, 3, 99, -1))))
        database.commit()
    finally:
        database.close()


def damage(folder, rng):
    """Returns words for what was done."""
    done = []
    if rng.random() < 0.35:
        with contextlib.suppress(sqlite3.Error):
            damage_rows(os.path.join(folder, "chat.db"), rng)
            done.append("rows")
        if rng.random() < 0.8:
            return done
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        files = sorted(name for name in os.listdir(folder) if os.path.getsize(os.path.join(folder, name)) > 0)
        if not files:
            break
        name = rng.choice(files)
        path = os.path.join(folder, name)
        if rng.random() < 0.04:
            os.unlink(path)
            done.append(f"{name} gone")
            continue
        with open(path, "r+b") as file:
            data = bytearray(file.read())
            how = rng.choice(DAMAGES)
            how(data, rng)
            file.seek(0)
            file.write(data)
            file.truncate()
        done.append(f"{how.__name__} {name}")
    return done


# ---- What the server makes of it. ----


def end_words(code, text, path, what):
    assert SANITIZER_REPORT.search(text) is None, f"{what}: a sanitizer reported:\n{text[-20000:]}"
    assert code >= 0 and code != 99, f"{what} ended with {code}:\n{text[-5000:]}"
    if code != 0:
        assert path in text, f"{what} ended with {code}, and does not name the file:\n{text}"


def run_once(*arguments):
    done = subprocess.run([program("TCPSERVER"), *arguments], env=clean_environment(), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=DEADLINE,
                          preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    return done.returncode, (done.stderr + done.stdout).decode(errors="replace")


def converse(port, rng):
    """Whatever the answers are."""
    requests = [{"op": "session", "session": "0123456789abcdef" * 2, "name": "bob", "after": 0}]
    for room in ("tea", "milk tea", "coffee", "new"):
        requests.append({"op": "join", "room": room, "after": rng.choice((0, 0, 30, 1000))})
        requests.append({"op": "history", "room": room, "count": 300})
        requests.append({"op": "send", "room": room, "text": "again", "id": rng.randint(300, 500)})
        requests.append({"op": "topic"})
        requests.append({"op": "mark", "seq": 7, "room": room})
    requests += [{"op": "rooms"}, {"op": "search", "words": "word3"}, {"op": "search", "words": "again", "room": "tea"},
                 {"op": "history", "before": "2026-01-01"}, {"op": "topic", "text": "damaged"}, {"op": "ping", "text": "end"}]
    client = Client(("127.0.0.1", port))
    talk_to(client, requests)
    client.close()
    plain = Client(("127.0.0.1", port))
    with contextlib.suppress(ConnectionError):
        plain.raw(b"ann\nhello\n/rooms\n/join tea\nhello\n/history 100\n/search word1\n/quit\n")
        while plain._receive():
            plain.buffer.clear()
    plain.close()


def serve(path, rng):
    """Returns whether the server started."""
    process = subprocess.Popen(
        [program("TCPSERVER"), "--listen", "127.0.0.1:0", "--journal", f"sqlite:{path}"], env=clean_environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    output, log = Lines(process.stdout), Lines(process.stderr)
    try:
        try:
            port = int(output.wait(r"listening from .+:(\d+)\(")[0].group(1))
        except AssertionError:
            assert process.wait(DEADLINE) != 0, "the server ended with 0, but never listened"
            log.join()
            end_words(process.returncode, log.text(), path, "the server")
            return False
        converse(port, rng)
        assert process.poll() is None, f"the server ended with {process.returncode}:\n{log.text()[-20000:]}"
        process.send_signal(signal.SIGTERM)
        code = process.wait(DEADLINE)
        log.join()
        end_words(code, log.text() + path, path, "the server")
        return True
    finally:
        process.kill()
        process.wait()


def try_one(originals, folder, own_seed):
    rng = random.Random(own_seed)
    copy = os.path.join(folder, "copy")
    shutil.copytree(rng.choice(originals), copy)
    path = os.path.join(copy, "chat.db")
    done = damage(copy, rng)
    if "CHAT_PROOF_DAMAGE" in os.environ:
        print("; ".join(done))
        shutil.copytree(copy, os.path.join(tempfile.gettempdir(), f"tcpchat-damaged-{own_seed}"), dirs_exist_ok=True)
    try:
        if rng.random() < 0.3 and os.path.exists(path):
            end_words(*run_once("--check", path), path, "--check")
            end_words(*run_once("--salvage", path, os.path.join(copy, "saved.db")), copy, "--salvage")
        return serve(path, rng)
    except BaseException:
        print(f"CHAT_PROOF_DAMAGE={own_seed}: {'; '.join(done)}")
        raise
    finally:
        shutil.rmtree(copy)


def test_damaged_files_never_bring_the_server_down():
    with tempfile.TemporaryDirectory(prefix="tcpchat-damaged-") as folder:
        originals = make_originals(folder)
        if "CHAT_PROOF_DAMAGE" in os.environ:
            print("it ran" if try_one(originals, folder, int(os.environ["CHAT_PROOF_DAMAGE"])) else "it refused")
            return
        rng = random.Random(seed())
        count = 3000 if is_long() else max(20, scaled(100))
        ran = sum(try_one(originals, folder, rng.getrandbits(32)) for _ in range(count))
        print(f"{count} damaged copies ({BUILD_KIND}): the server ran on {ran}, and refused {count - ran}")


if __name__ == "__main__":
    main(time_limit())
