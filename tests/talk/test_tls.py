"""TLS: the same conversations behind it, with all kinds of peers; certificates; and those who mean harm."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import tempfile

import secure
from certificates import Certificates, options
from talk import (
    BUILD_KIND, DEADLINE, GREETING, Server, main, pump, raise_descriptor_limit, run_server, scaled, skip, wait_for,
)

REQUIRED = "! tls-required: this server speaks only TLS; connect with tcpclient --tls, or with another program that can"


class Encrypted:
    """A server with a certificate that vouches for itself, as 'with Encrypted() as (server, certificates)'."""

    def __init__(self, *arguments, **more):
        self.arguments = arguments
        self.more = more

    def __enter__(self):
        self.certificates = Certificates()
        pair = self.certificates.own("server")
        try:
            self.server = Server(*options(pair), *self.arguments, **self.more)
        except BaseException:
            self.certificates.__exit__()
            raise
        return self.server, self.certificates

    def __exit__(self, *error):
        try:
            self.server.__exit__(*error)
        finally:
            self.certificates.__exit__()
        return False


def peer(server, *arguments):
    path = os.environ.get("TLS_PEER")
    if not path or not os.path.exists(path):
        skip("tls_peer was not built")
    done = subprocess.run([path, str(server.port), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def converse(server, name):
    """Two talk, one through TLS."""
    plain = server.join("plain")
    client = secure.join(server, name)
    plain.expect(f'User "{name}" just joined the chat!')
    client.say("hello")
    plain.expect(f"{name}: hello")
    client.expect(f"{name}: hello")
    plain.say("hi")
    client.expect("plain: hi")


# ---- Conversations. ----


def test_lines_go_through_tls_and_without_it_at_the_same_port():
    with Encrypted() as (server, _):
        converse(server, "ann")


def test_tls_1_2_will_do():
    with Encrypted() as (server, _):
        client = secure.join(server, "ann", with_context=secure.context(version=ssl.TLSVersion.TLSv1_2))
        assert client.socket.version() == "TLSv1.2"
        client.say("hello")
        client.expect("ann: hello")


def test_tls_1_1_is_refused():
    with Encrypted() as (server, _):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode != 0 and "alert" in done.stderr, done.stderr
        converse(server, "ann")


def test_a_port_can_be_for_tls_alone():
    with Encrypted(listen=("127.0.0.1:0=tls", "127.0.0.1:0=lines")) as (server, _):
        secure.join(server, "ann")
        server.connect(("127.0.0.1", server.places[0][1])).say("bob")
        plain = server.connect(("127.0.0.1", server.places[1][1]))
        plain.say("carl")
        plain.expect_welcome("carl")


def test_a_person_is_greeted_through_tls():
    with Encrypted() as (server, _):
        client = secure.connect(server)
        client.expect(GREETING)
        client.say("ann")
        client.expect_welcome("ann")


def test_a_certificate_with_its_authority_is_trusted():
    with Certificates() as certificates:
        authority = certificates.authority()
        with Server(*options(certificates.vouched("server"))) as server:
            client = secure.join(server, "ann", with_context=secure.context(authority))
            client.say("hello")
            client.expect("ann: hello")


def test_the_chain_behind_a_certificate_is_sent():
    with Certificates() as certificates:
        root = certificates.authority()
        certificates.key("middle.key")
        certificates.openssl("req", "-new", "-key", "middle.key", "-out", "middle.csr", "-subj", "/CN=middle")
        (certificates.path / "middle.ext").write_text("basicConstraints=critical,CA:TRUE\n")
        certificates.openssl("x509", "-req", "-in", "middle.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
                             "-extfile", "middle.ext", "-out", "middle.pem", "-days", 30)
        path, key = certificates.vouched("server", authority="middle")
        with open(path, "a", encoding="ascii") as file:
            file.write((certificates.path / "middle.pem").read_text())
        with Server(*options((path, key))) as server:
            secure.join(server, "ann", with_context=secure.context(root))


def test_a_client_that_says_its_last_line_gets_its_echo():
    with Encrypted() as (server, _):
        ears = server.join("ears")
        client = secure.Halves(("127.0.0.1", server.port))
        client.say("ann")
        for i in range(500):
            client.say(f"line {i}")
        client.say_end()
        text = client.rest().decode()
        client.close()
        assert [line for line in text.split("\n") if line.startswith("ann: ")] == [f"ann: line {i}" for i in range(500)], text[-300:]
        ears.expect('User "ann" just joined the chat!', *[f"ann: line {i}" for i in range(500)],
                    'User "ann" just left the chat (normally)')


def test_an_end_without_close_notify_is_an_end():
    with Encrypted() as (server, _):
        ears = server.join("ears")
        ann = secure.join(server, "ann")
        ears.expect('User "ann" just joined the chat!')
        ann.say("bye")
        ears.expect("ann: bye")
        ann.expect("ann: bye")
        ann.socket.shutdown(socket.SHUT_WR)
        ears.expect('User "ann" just left the chat (normally)')


def test_a_reset_is_a_lost_connection():
    with Encrypted() as (server, _):
        ears = server.join("ears")
        ann = secure.join(server, "ann")
        ears.expect('User "ann" just joined the chat!')
        ann.say("bye")
        ears.expect("ann: bye")
        ann.reset()
        ears.expect('User "ann" just left the chat (connection lost)')


def test_quit_ends_with_close_notify():
    with Encrypted() as (server, _):
        ann = secure.join(server, "ann")
        ann.say("/quit")
        ann.rest()  # suppress_ragged_eofs is off: anything but close_notify fails


def test_the_stop_is_told_through_tls():
    with Encrypted() as (server, _):
        ann = secure.join(server, "ann")
        server.send_signal(signal.SIGTERM)
        lines = ann.rest()
        assert lines[-1] == f"== The server(127.0.0.1:{server.port}) was terminated its operation... Goodbye. ==", lines
        ann.close()
        assert server.ended() == 0


def test_a_client_counts_once():
    with Encrypted("--max-clients", "2") as (server, _):
        secure.join(server, "ann")
        secure.join(server, "bob")
        late = server.connect()  # turned away before it says what it speaks
        assert [line.split(":")[0] for line in late.rest(reset_allowed=True)] == ["! server-full"]


def test_a_slow_reader_gets_every_line():
    lines = 12000 if BUILD_KIND == "plain" else 3000
    with Encrypted(journal="sqlite:chat.db") as (server, _):
        slow = secure.join(server, "slow", receive_buffer=4096)
        fast = server.join("fast")
        text = "x" * 500
        for start in range(0, lines, 100):
            fast.outgoing = b"".join(b"%06d %s\n" % (i, text.encode()) for i in range(start, start + 100))
            pump([fast], lambda client: client.buffer.count(b"\n") >= 100)
            fast.buffer.clear()
        threads = server.threads()
        fast.say("the end")
        got = []
        while not got or got[-1] != "fast: the end":
            got.append(slow.line())
        numbers = [int(line.split()[1]) for line in got if re.match(r"fast: \d{6} ", line)]
        assert numbers == list(range(lines)), f"{len(numbers)} of {lines}; {threads} threads"


def test_large_amounts_go_both_ways_at_once():
    # Python's TLS sockets are not for two threads: once, one that wrote while another read broke the records.
    count = 3000 if BUILD_KIND == "plain" else 600
    with Encrypted() as (server, _):
        client = secure.Halves(("127.0.0.1", server.port))
        lines = [f"{i} " + "y" * 2000 for i in range(count)]
        heard = client.talk("\n".join(["ann", *lines, ""]).encode(), f"ann: {lines[-1]}\n".encode())
        texts = [line for line in heard.decode().split("\n") if line.startswith("ann: ")]
        assert texts == [f"ann: {line}" for line in lines]
        client.close()


# ---- Peers. ----


def talk_with(command, server):
    """A program whose standard input and output are the conversation."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        ears = server.join("ears")
        try:
            process.stdin.write(b"ann\n")
            process.stdin.flush()
            ears.expect('User "ann" just joined the chat!')
            process.stdin.write(b"hello\n")
            process.stdin.flush()
            ears.expect("ann: hello")
            ears.say("hi")
            for line in process.stdout:
                if line.rstrip(b"\r\n") == b"ears: hi":
                    break
            else:
                raise AssertionError(f"{command[0]} has ended")
        finally:
            process.kill()


def test_openssl_is_a_peer():
    with Encrypted() as (server, certificates):
        talk_with(["openssl", "s_client", "-quiet", "-verify_return_error", "-verify_hostname", "localhost", "-CAfile", certificates.file("server.pem"),
                   "-connect", f"127.0.0.1:{server.port}"], server)


def test_gnutls_is_a_peer():
    if not shutil.which("gnutls-cli"):
        skip("there is no gnutls-cli")
    with Certificates() as certificates:
        authority = certificates.authority()
        with Server(*options(certificates.vouched("server"))) as server:
            talk_with(["gnutls-cli", "--x509cafile", authority, "--verify-hostname", "localhost", "-p", str(server.port), "127.0.0.1"], server)


def test_node_is_a_peer():
    if not shutil.which("node"):
        skip("there is no node")
    script = """
const tls = require("tls"), fs = require("fs");
const [port, ca] = process.argv.slice(1);
const socket = tls.connect({port, host: "127.0.0.1", servername: "localhost", ca: fs.readFileSync(ca)});
process.stdin.pipe(socket);
socket.pipe(process.stdout);
"""
    with Encrypted() as (server, certificates):
        talk_with(["node", "-e", script, str(server.port), certificates.file("server.pem")], server)


def test_sslscan_finds_nothing():
    if not shutil.which("sslscan"):
        skip("there is no sslscan")
    with Encrypted() as (server, _):
        done = subprocess.run(["sslscan", "--no-colour", f"127.0.0.1:{server.port}"], capture_output=True, text=True, timeout=2 * DEADLINE)
        versions = dict(re.findall(r"^(SSLv\d|TLSv1\.\d)\s+(enabled|disabled)$", done.stdout, re.M))
        assert versions == {"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled", "TLSv1.1": "disabled", "TLSv1.2": "enabled",
                            "TLSv1.3": "enabled"}, done.stdout
        ciphers = re.findall(r"^(?:Preferred|Accepted)\s+(\S+)\s+(\d+) bits\s+(\S+)", done.stdout, re.M)
        assert len(ciphers) >= 4, done.stdout
        for version, bits, cipher in ciphers:
            assert int(bits) >= 128 and re.search("GCM|CHACHA20", cipher), (version, cipher)
            assert version == "TLSv1.3" or cipher.startswith("ECDHE-"), (version, cipher)
        assert "Session renegotiation not supported" in done.stdout and "vulnerable to heartbleed" in done.stdout, done.stdout
        assert not re.search(r"(?<!not )vulnerable to heartbleed", done.stdout), done.stdout
        converse(server, "ann")


def test_http_1_1_is_chosen_and_what_is_not_known_is_no_alert():
    with Encrypted() as (server, _):
        for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["spdy/3"], None), ((), None)):
            client = secure.connect(server, with_context=secure.context(protocols=offered))
            assert client.socket.selected_alpn_protocol() == chosen, (offered, client.socket.selected_alpn_protocol())


# ---- Harm. ----


def test_changes_of_keys_do_not_disturb():
    with Encrypted() as (server, _):
        assert peer(server, "update", 40) == "all lines came"


def test_a_flood_of_key_changes_ends_that_connection_alone():
    with Encrypted() as (server, _):
        ann = secure.join(server, "ann")
        before = server.cpu_seconds()
        assert peer(server, "flood", 100000) == "ended"
        server.log.wait("TLS connection ended.*does not keep to the protocol")
        assert server.cpu_seconds() - before < (2 if BUILD_KIND == "plain" else 20)
        ann.expect('User "peer" just joined the chat!', 'User "peer" just left the chat (connection lost)')
        ann.say("still here")
        ann.expect("ann: still here")


def test_nobody_can_renegotiate():
    with Encrypted() as (server, _):
        assert peer(server, "renegotiate") == "refused"
        server.log.wait('left name="peer"')
        converse(server, "ann")


def test_half_open_handshakes_harm_nobody():
    count = scaled(1000)
    raise_descriptor_limit(count + 200)
    with Encrypted() as (server, _):
        talkers = [secure.join(server, "ann"), server.join("bob")]
        talkers[0].expect('User "bob" just joined the chat!')
        hello = client_hello()
        crowd = []
        for i in range(count):
            client = server.connect()
            client.raw(hello[:1 + i % (len(hello) - 1)] if i % 2 else hello)
            crowd.append(client)
        for i in range(50):
            talkers[i % 2].say(f"line {i}")
            for talker in talkers:
                talker.expect(f"{('ann', 'bob')[i % 2]}: line {i}")
        converse_again = secure.join(server, "carl")
        converse_again.say("I came, too")
        converse_again.expect("carl: I came, too")
        for client in crowd:
            client.close()
        wait_for(lambda: server.threads() < 20, "the end of those threads")


def client_hello():
    """What a client of TLS says first."""
    outgoing = ssl.MemoryBIO()
    tls = secure.context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def test_a_handshake_takes_no_longer_than_a_name():
    with Encrypted("--name-timeout", "1") as (server, _):
        client = server.connect()
        client.raw(client_hello())
        client.expect_lost()
        server.log.wait("TLS handshake failed.*timed out")


def test_nonsense_after_the_first_bytes_ends_only_that_connection():
    with Encrypted() as (server, _):
        for nonsense in (b"\x16\x03\x01\xff\xff" + b"\0" * 600, b"\x16\x03\x00\x00\x02\x00\x00", client_hello()[:80] + b"x" * 3000,
                         b"\x16\x03\x01\x00\x00" * 100):
            client = server.connect()
            client.raw(nonsense)
            client.half_close()
            client.expect_lost()
        ann = secure.join(server, "ann")
        # A record that is not what was agreed on, in the midst of a conversation.
        raw = socket.socket(fileno=os.dup(ann.socket.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + b"z" * 32)
        raw.close()
        try:
            while ann.socket.recv(4096):
                pass
        except (ssl.SSLError, ConnectionError):
            pass
        server.log.wait('left name="ann"')
        converse(server, "bob")


def test_a_stop_does_not_wait_for_a_client_that_reads_nothing():
    with Encrypted() as (server, _):
        stuck = secure.join(server, "stuck", receive_buffer=4096)
        fast = server.join("fast")
        stuck.expect('User "fast" just joined the chat!')
        for start in range(0, 4000, 100):
            fast.outgoing = (b"x" * 1000 + b"\n") * 100
            pump([fast], lambda client: client.buffer.count(b"\n") >= 100)
            fast.buffer.clear()
        half = server.connect()
        half.raw(client_hello())
        server.stop(seconds=15)


# ---- Certificates. ----


def refused_start(*arguments, environment=None):
    code, output, errors = run_server("--listen", "127.0.0.1:0", "--journal", "memory", *arguments, environment=environment)
    assert code != 0 and "listening" not in output, (code, output)
    return code, errors


def test_files_that_do_not_fit_are_explained():
    with Certificates() as certificates:
        certificate, key = certificates.own("server")
        other, other_key = certificates.own("other")
        certificates.openssl("pkey", "-in", "server.key", "-aes256", "-passout", "pass:x", "-out", "locked.key")
        open_key = certificates.file("open.key")
        shutil.copy(key, open_key)
        os.chmod(open_key, 0o644)
        empty = certificates.file("empty")
        pathlib.Path(empty).write_text("")
        os.chmod(empty, 0o600)
        os.chmod(certificates.file("locked.key"), 0o600)
        torn = certificates.file("torn.pem")
        pathlib.Path(torn).write_text(pathlib.Path(certificate).read_text()[:300])
        for files, wanted in (
            ((certificate, other_key), f"the key in {other_key} is not that of the certificate in {certificate}"),
            ((certificate, open_key), f"others may read or write the key {open_key}; chmod 600 it"),
            ((certificate, certificates.file("locked.key")), "is locked with a password"),
            ((certificate, certificate), "others may read or write the key"),
            ((certificate, certificates.file("none")), "cannot read .*/none: No such file"),
            ((certificates.file("none"), key), "cannot read .*/none: No such file"),
            ((key, key), "there is no good certificate in .*server.key; what is in it is called PRIVATE KEY"),
            ((empty, key), "there is no certificate in .*empty, which has to be a PEM file"),
            ((certificate, empty), "there is no private key in .*empty, which has to be a PEM file"),
            ((torn, key), "there is no good certificate in .*torn.pem"),
            ((certificates.file("."), key), "it is a folder"),
        ):
            code, errors = refused_start(*options(files))
            assert code == 1 and re.search(wanted.replace("(", "\\("), errors), (files, errors)


def test_options_that_lack_something_are_explained():
    with Certificates() as certificates:
        certificate, key = certificates.own("server")
        for arguments, wanted in (
            (["--tls", "files"], "TLS needs a certificate: --tls-cert"),
            (["--tls-cert", certificate], "TLS needs the certificate's key: --tls-key"),
            (["--tls-key", key], "TLS needs a certificate: --tls-cert"),
            (["--tls", "self", "--tls-key", key], "--tls self makes a certificate of its own"),
            (["--require-tls"], "--require-tls needs TLS"),
            (["--tls", "self", "--require-tls", "--listen", "127.0.0.1:0=http"], "exclude each other"),
            (["--tls", "self", "--require-tls", "--listen", "127.0.0.1:0=lines"], "exclude each other"),
            (["--listen", "127.0.0.1:0=tls"], "--listen ...=tls needs TLS"),
        ):
            code, errors = refused_start(*arguments)
            assert code == 2 and wanted in errors, (arguments, errors)


def test_go_chats_names_are_understood():
    with Certificates() as certificates:
        certificate, key = certificates.own("server")
        files = {"SERVER_CERTIFICATE": certificate, "SERVER_KEY": key}
        with Server(environment={"IS_TLS": "true", **files}) as server:
            secure.join(server, "ann")
        with Server(environment={"IS_TLS": "false", **files}) as server:
            client = server.connect()
            client.raw(client_hello())
            client.expect_lost()
        code, errors = refused_start(environment={"IS_TLS": "true"})
        assert code == 2 and "SERVER_CERTIFICATE" in errors, errors
        for value in ("yes", "1", "self", "TRUE"):
            code, errors = refused_start(environment={"IS_TLS": value, **files})
            assert code == 2 and "IS_TLS" in errors and "true or false" in errors, errors


def test_an_expired_certificate_is_warned_of():
    with Certificates() as certificates:
        certificates.authority()
        old = certificates.vouched("old", start="20200101000000Z", end="20210102000000Z")
        with Server(*options(old)) as server:
            server.log.wait("warning TLS certificate .*expired on 2021-01-02")
            secure.join(server, "ann")
        early = certificates.vouched("early", start="20900101000000Z", end="20910102000000Z")
        with Server(*options(early)) as server:
            server.log.wait("warning TLS certificate .*not valid before 2090-01-01")


def own_server(folder, *arguments):
    return Server("--tls", "self", *arguments, environment={"STATE_DIRECTORY": folder})


def told_fingerprint(server):
    return server.output.wait(r"^\[O\] TLS certificate fingerprint: (SHA256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2})$")[0].group(1)


def test_an_own_certificate_is_kept_over_restarts():
    with Certificates() as certificates, tempfile.TemporaryDirectory() as folder:
        fingerprints = []
        for _ in range(3):
            with own_server(folder) as server:
                fingerprints.append(told_fingerprint(server))
                client = secure.connect(server, with_context=secure.context(f"{folder}/chat-tls.pem"))
                client.say("ann")
                client.expect_welcome("ann")
        assert fingerprints == [certificates.fingerprint(f"{folder}/chat-tls.pem")] * 3
        assert sorted(os.listdir(folder)) == ["chat-tls-key.pem", "chat-tls.pem"]
        assert stat.S_IMODE(os.stat(f"{folder}/chat-tls-key.pem").st_mode) == 0o600
        text = certificates.openssl("x509", "-in", f"{folder}/chat-tls.pem", "-noout", "-text")
        assert "prime256v1" in text and "DNS:localhost" in text and "IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1" in text, text
        # An interrupted beginning: the key alone is used, the certificate alone is not.
        os.unlink(f"{folder}/chat-tls.pem")
        with own_server(folder) as server:
            told_fingerprint(server)
        os.unlink(f"{folder}/chat-tls-key.pem")
        code, errors = refused_start("--tls", "self", environment={"STATE_DIRECTORY": folder})
        assert code == 1 and "put it back, or remove the certificate" in errors, errors


def test_an_own_certificate_needs_a_folder_to_write_to():
    code, errors = refused_start("--tls", "self", environment={"STATE_DIRECTORY": "/proc/nowhere"})
    assert code == 1 and "cannot write /proc/nowhere/chat-tls-key.pem: No such file" in errors, errors


def test_a_new_certificate_is_read_on_sighup_and_nobody_is_dropped():
    with Encrypted() as (server, certificates):
        old = told_fingerprint(server)
        ann = secure.join(server, "ann", with_context=secure.context(certificates.file("server.pem")))
        assert ann.socket.session is not None
        certificates.own("new")
        os.replace(certificates.file("new.pem"), certificates.file("server.pem"))
        os.replace(certificates.file("new.key"), certificates.file("server.key"))
        server.send_signal(signal.SIGHUP)
        new = server.output.wait(r"^\[O\] TLS certificate fingerprint: (.*)$", count=2)[1].group(1)
        assert new != old and new == certificates.fingerprint(certificates.file("server.pem"))
        bob = secure.join(server, "bob", with_context=secure.context(certificates.file("server.pem")))
        ann.expect('User "bob" just joined the chat!')
        bob.say("hello")
        ann.expect("bob: hello")
        ann.say("still here")
        ann.expect("ann: still here")


def test_a_ticket_from_before_a_new_certificate_does_no_harm():
    with Encrypted() as (server, certificates):
        own_context = secure.context()
        ann = secure.join(server, "ann", with_context=own_context)
        session = ann.socket.session  # the ticket came before the welcome
        again = secure.connect(server, with_context=own_context, session=session)
        assert again.socket.session_reused
        certificates.own("new")
        os.replace(certificates.file("new.pem"), certificates.file("server.pem"))
        os.replace(certificates.file("new.key"), certificates.file("server.key"))
        server.send_signal(signal.SIGHUP)
        server.output.wait(r"^\[O\] TLS certificate fingerprint: ", count=2)
        bob = secure.join(server, "bob", with_context=own_context, session=session)
        assert not bob.socket.session_reused


def test_a_certificate_that_cannot_be_read_again_changes_nothing():
    with Encrypted() as (server, certificates):
        ann = secure.join(server, "ann")
        certificates.own("other")
        os.replace(certificates.file("other.key"), certificates.file("server.key"))
        server.send_signal(signal.SIGHUP)
        server.log.wait("error the TLS certificate stays as it was .*is not that of the certificate")
        bob = secure.join(server, "bob", with_context=secure.context(certificates.file("server.pem")))
        ann.expect('User "bob" just joined the chat!')
        bob.say("hello")
        ann.expect("bob: hello")


def test_without_tls_sighup_stops():
    with Server() as server:
        server.stop(signal.SIGHUP)


# ---- Only TLS. ----


def test_plain_connections_can_be_refused():
    with Encrypted("--require-tls") as (server, _):
        plain = server.connect()
        plain.say("ann")
        plain.expect(REQUIRED)
        plain.expect_end()
        silent = server.connect()
        silent.expect(REQUIRED)
        silent.expect_end()
        ann = secure.join(server, "ann")
        ann.say("hello")
        ann.expect("ann: hello")


# ---- Nothing is lost. ----


def test_what_was_said_before_a_kill_is_there_and_said_once():
    name, session, count = "ann", "00112233445566778899aabbccddeeff", 200 if BUILD_KIND == "plain" else 60
    with Certificates() as certificates, tempfile.TemporaryDirectory() as folder:
        pair = certificates.own("server")
        journal = f"sqlite:{folder}/chat.db"
        said = {}
        seen = {}
        for life in range(4):
            server = Server(*options(pair), journal=journal, history=None)
            client = secure.connect(server)
            client.say(json.dumps({"op": "session", "session": session, "name": name, "after": max(seen, default=0)}))
            waiting = [i for i in range(1, count + 1) if i not in said]
            client.raw(b"".join(json.dumps({"op": "send", "text": f"line {i}", "id": i}).encode() + b"\n" for i in waiting))
            while len(said) < count and (life == 3 or len(said) < count * (life + 1) // 4):
                event = json.loads(client.line())
                if event.get("code") == "said":
                    assert said.setdefault(event["id"], event["seq"]) == event["seq"]
                if "seq" in event and event["kind"] == "message":
                    assert seen.setdefault(event["seq"], event["text"]) == event["text"]
            server.process.kill()
            server.process.wait()
            client.close()
        with Server(*options(pair), journal=journal, history=None) as server:
            client = secure.connect(server)
            client.say(json.dumps({"op": "session", "session": session, "name": name, "after": 0}))
            texts = []
            while len(texts) < count:
                event = json.loads(client.line())
                if event["kind"] == "message":
                    texts.append(event["text"])
            assert sorted(texts) == sorted(f"line {i}" for i in range(1, count + 1)), texts


if __name__ == "__main__":
    main()
