"""The client through TLS: whom it trusts, what it says when it does not, and that nothing is lost."""

import contextlib
import pathlib
import re
import socket
import sqlite3
import stat
import tempfile
import threading

from support import BUILD_KIND, HOST, Fake, Filter, Terminal, main
from certificates import Certificates, options
from talk import Server

ASKED = r"Does whoever runs the server name this fingerprint\? \(yes/no\) ?"
FINGERPRINT = r"SHA256:(?:[0-9A-F]{2}:){31}[0-9A-F]{2}"


class Scene:
    """Certificates, and a folder for the client's state that stays from one client to the next."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpclient-state-")
        self.certificates = Certificates()
        self.environment = {"XDG_STATE_HOME": self.folder.name}
        return self

    def __exit__(self, *error):
        self.certificates.__exit__()
        self.folder.cleanup()

    def server(self, pair, *arguments, port=0, **more):
        return Server(*options(pair), *arguments, listen=(f"{HOST}:{port}",), **more)

    def say(self, *arguments, text=b"hello\n"):
        """Runs the client as a filter; returns exit code, output lines, errors."""
        with Filter("-username", "ann", *arguments, environment=self.environment) as client:
            return client.end(text)

    def refused(self, *arguments):
        """The client is to refuse the server, and to have said nothing; returns why."""
        code, output, errors = self.say(*arguments)
        assert code == 1 and output == [] and "nothing was sent" in errors, (code, output, errors)
        return errors

    def known(self):
        return pathlib.Path(self.folder.name, "tcpclient", "known-servers")


    def trust(self, server, pair):
        """As if a person had said yes to the server's own certificate."""
        self.known().parent.mkdir(parents=True, exist_ok=True)
        with self.known().open("a") as file:
            file.write(f"{address(server)} {self.certificates.fingerprint(pair[0])}\n")
        self.known().chmod(0o600)


def address(server, host=HOST):
    return f"{host}:{server.port}"


def test_an_authority_that_was_given_is_trusted():
    with Scene() as scene:
        authority = scene.certificates.authority()
        with scene.server(scene.certificates.vouched("server")) as server:
            for where in (["--tls", address(server)], [f"tls://{address(server, 'localhost')}"], ["--tls", f"TLS://{address(server)}"]):
                code, output, errors = scene.say("--ca", authority, *where)
                assert code == 0 and output[-1] == "ann: hello" and errors == "", (output, errors)
            code, output, errors = scene.say("--ca", authority, "--plain", "--tls", address(server))
            assert any(re.fullmatch(r"The connection is encrypted \(TLSv1\.3, TLS_\w+\)\. Its certificate is vouched for by CN = authority\.", line)
                       for line in output), output
            assert scene.known().read_text() == f"{address(server)} authority\nlocalhost:{server.port} authority\n"


def test_no_certificate_of_its_own_takes_the_place_of_one_that_an_authority_vouched_for():
    """It counted as one that is seen for the first time, and was trusted."""
    with Scene() as scene:
        scene.environment["SSL_CERT_FILE"] = scene.certificates.authority()
        with scene.server(scene.certificates.vouched("server")) as server:
            port = server.port
            code, output, errors = scene.say("--tls", address(server))
            assert code == 0 and output[-1] == "ann: hello" and errors == "", (output, errors)
        impostor = scene.certificates.own("impostor")
        new = scene.certificates.fingerprint(impostor[0])
        with scene.server(impostor, port=port) as server:
            errors = scene.refused("--tls", address(server))
            assert f"The certificate of {HOST}:{port} is not the one it was; nothing was sent.\nbefore: an authority vouched for it\n" \
                f"now:    {new}, for which only it itself vouches\n" in errors, errors
            with Terminal("-username", "ann", "--tls", address(server), environment=scene.environment, width=120) as terminal:
                terminal.wait("before: an authority vouched for it")
                assert terminal.ended() == 1  # nobody is asked
            scene.known().write_text("")
            assert "first time" in scene.refused("--tls", address(server))
        scene.known().write_text(f"{HOST}:{port} {new}\n")  # a server that gets a better certificate
        with scene.server(scene.certificates.vouched("server"), port=port) as server:
            assert scene.say("--tls", address(server))[0] == 0
        with scene.server(impostor, port=port) as server:
            assert "before: an authority vouched for it" in scene.refused("--tls", address(server))


def test_the_systems_authorities_are_trusted():
    with Scene() as scene:
        authority = scene.certificates.authority()
        scene.environment["SSL_CERT_FILE"] = authority
        with scene.server(scene.certificates.vouched("server")) as server:
            code, output, errors = scene.say("--tls", address(server))
            assert code == 0 and output[-1] == "ann: hello" and errors == "", (output, errors)
            other = scene.certificates.authority("other")
            errors = scene.refused("--tls", "--ca", other, address(server))
            assert "The authority that vouches for it is not known here: CN = authority. If you trust it, give its certificate with --ca FILE." in errors


def test_an_unknown_authority_is_explained():
    with Scene() as scene:
        scene.certificates.authority()
        with scene.server(scene.certificates.vouched("server")) as server:
            errors = scene.refused("--tls", address(server))
            assert f"The certificate of {address(server)} is not to be trusted; nothing was sent." in errors, errors
            assert "not known here: CN = authority" in errors, errors
            fingerprint = scene.certificates.fingerprint(scene.certificates.file("server.pem"))
            assert f"Its fingerprint is {fingerprint};" in errors, errors
            code, output, _ = scene.say("--tls", "--fingerprint", fingerprint, address(server))
            assert code == 0 and output[-1] == "ann: hello"


def test_a_wrong_name_is_explained():
    with Scene() as scene:
        authority = scene.certificates.authority()
        with scene.server(scene.certificates.vouched("server", names="DNS:chat.example,IP:10.1.2.3,DNS:*.chat.example")) as server:
            for host in ("localhost", HOST):
                errors = scene.refused("--tls", "--ca", authority, address(server, host))
                assert f"It is not for {host}, but for chat.example, 10.1.2.3, *.chat.example. Connect by such a name." in errors, errors


def test_an_expired_certificate_is_explained():
    with Scene() as scene:
        authority = scene.certificates.authority()
        with scene.server(scene.certificates.vouched("old", start="20200101000000Z", end="20210102000000Z")) as server:
            errors = scene.refused("--tls", "--ca", authority, address(server))
            assert "It has expired on 2021-01-02. Whoever runs the server has to get a new one." in errors, errors
        with scene.server(scene.certificates.vouched("early", start="20900101000000Z", end="20910102000000Z")) as server:
            errors = scene.refused("--tls", "--ca", authority, address(server))
            assert "It is not valid before 2090-01-01. Is the clock of this machine right?" in errors, errors


def test_another_fingerprint_is_explained():
    with Scene() as scene:
        with scene.server(scene.certificates.own("server")) as server:
            wrong = "SHA256:" + ":".join(["AB"] * 32)
            errors = scene.refused("--tls", "--fingerprint", wrong, address(server))
            found = scene.certificates.fingerprint(scene.certificates.file("server.pem"))
            assert f"wanted: {wrong}\nfound:  {found}\n" in errors, errors


def test_what_is_seen_first_is_remembered_and_a_change_is_told():
    with Scene() as scene:
        first, second = scene.certificates.own("first"), scene.certificates.own("second")
        old, new = (scene.certificates.fingerprint(pair[0]) for pair in (first, second))
        with scene.server(first) as server:
            port = server.port
            with Terminal("-username", "ann", "--tls", address(server), environment=scene.environment, width=150) as terminal:
                terminal.wait(rf"seen here for the first time; nothing was sent\.\n.*Its fingerprint is {old}$")
                terminal.wait(ASKED + r"\Z")
                terminal.type("perhaps")
                terminal.keys("Enter")
                terminal.wait(ASKED + r"perhaps\n" + ASKED + r"\Z")
                assert server.log.find("joined") is None
                terminal.type("yes")
                terminal.keys("Enter")
                terminal.wait("It is remembered, and has to be the same from now on")
                terminal.wait(r"is the one that was seen before\.")
                terminal.type("hello")
                terminal.keys("Enter")
                terminal.wait("ann: hello$")
                terminal.type("!exit")
                terminal.keys("Enter")
                assert terminal.ended() == 0
            assert scene.known().read_text() == f"{HOST}:{port} {old}\n"
            assert stat.S_IMODE(scene.known().stat().st_mode) == 0o600
            code, output, errors = scene.say("--tls", address(server))
            assert code == 0 and output[-1] == "ann: hello" and errors == "", errors
        with scene.server(second, port=port) as server:
            errors = scene.refused("--tls", address(server))
            assert f"The certificate of {HOST}:{port} is not the one it was; nothing was sent.\nbefore: {old}\nnow:    {new}\n" in errors, errors
            assert f"remove each line of {HOST}:{port} from {scene.known()}, and connect again" in errors, errors
            scene.known().write_text("")
            errors = scene.refused("--tls", address(server))
            assert "seen here for the first time" in errors and new in errors, errors
            scene.known().write_text(f"{HOST}:{port} SHA256:rubbish\n")
            errors = scene.refused("--tls", address(server))
            assert "cannot be read; nothing was sent" in errors, errors


def test_a_stranger_is_refused_in_a_pipe():
    with Scene() as scene:
        pair = scene.certificates.own("server")
        with scene.server(pair) as server:
            fingerprint = scene.certificates.fingerprint(pair[0])
            for form in ((), ("--plain",), ("--json",), ("-c", "hello")):
                errors = scene.refused("--tls", *form, address(server))
                assert f"seen here for the first time; nothing was sent.\nIts fingerprint is {fingerprint}.\n" in errors, errors
                assert "connect with --fingerprint and it; or connect once at a terminal, where you are asked, and it is remembered." in errors
            assert server.log.find("joined") is None and not scene.known().exists()
            code, output, errors = scene.say("--tls", "--fingerprint", fingerprint, address(server))
            assert code == 0 and output[-1] == "ann: hello", errors
            scene.trust(server, pair)
            code, output, errors = scene.say("--tls", address(server))
            assert code == 0 and output[-1] == "ann: hello" and errors == "", errors


def test_who_says_no_goes_nowhere():
    with Scene() as scene, scene.server(scene.certificates.own("server")) as server:
        for form in ((), ("--plain",), ("-c", "hello")):
            with Terminal("-username", "ann", *form, "--tls", address(server), environment=scene.environment, width=150) as terminal:
                terminal.wait(ASKED + r"\Z")
                terminal.type("no")
                terminal.keys("Enter")
                assert terminal.ended() == 1
        with Terminal("-username", "ann", "--tls", address(server), environment=scene.environment, width=150) as terminal:
            terminal.wait(ASKED + r"\Z")
            terminal.keys("C-d")
            assert terminal.ended() == 1
        assert server.log.find("joined") is None and not scene.known().exists()


def test_where_nothing_can_be_remembered_it_is_said():
    with Scene() as scene, scene.server(scene.certificates.own("server")) as server:
        scene.environment["XDG_STATE_HOME"] = "/proc/nowhere"
        with Terminal("-username", "ann", "--plain", "--tls", address(server), environment=scene.environment, width=150) as terminal:
            terminal.wait(ASKED + r"\Z")
            terminal.type("yes")
            terminal.keys("Enter")
            terminal.wait(r"It could not be remembered \(No such file or directory\)\.")
            terminal.wait("The server's certificate has the fingerprint that was asked for")  # for this time
            server.log.wait("joined name=\"ann\"")


def test_a_server_without_tls_is_explained():
    with Scene() as scene:
        with Server(listen=(f"{HOST}:0",)) as server:
            errors = scene.refused("--tls", address(server))
            assert f"{address(server)} does not speak TLS as it is needed here" in errors and "without --tls" in errors, errors
        with Fake() as fake:
            threading.Thread(target=lambda: fake.accept().say("hello, who are you?")).start()
            errors = scene.refused("--tls", fake.address)
            assert "does not speak TLS" in errors, errors


def test_a_server_that_closes_during_the_handshake_was_not_reached():
    with Scene() as scene, Fake() as fake:
        def close():
            peer = fake.accept()
            peer.connection.recv(4096)
            peer.connection.close()
        threading.Thread(target=close).start()
        code, output, errors = scene.say("--tls", fake.address)
        assert code == 1 and output == [] and "the TLS handshake broke off: the server closed the connection" in errors, errors


def test_wrong_options_are_explained():
    with Scene() as scene:
        own, _ = scene.certificates.own("own")
        for arguments, wanted in (
            (["--ca", own], "--ca is for encrypted connections: add --tls, or connect to tls://HOST"),
            (["--fingerprint", "x"], "--fingerprint is for encrypted connections"),
            (["--tls", "--fingerprint", "SHA256:00"], "--fingerprint is SHA256: and 64 hex digits"),
            (["--tls", "--ca", "/nowhere"], "--ca /nowhere: it has to be a PEM file of certificates: No such file"),
            (["--tls", "--ca", "/dev/null"], "--ca /dev/null: it has to be a PEM file of certificates"),
        ):
            code, output, errors = scene.say(*arguments, f"{HOST}:1")
            assert code == 2 and output == [] and wanted in errors, (arguments, errors)


def test_the_servers_variable_does_not_disturb():
    with Scene() as scene, scene.server(pair := scene.certificates.own("server")) as server:
        scene.trust(server, pair)
        for value, encrypted in (("self", True), ("files", True), ("off", False), ("1", True)):
            scene.environment["CHAT_TLS"] = value
            code, output, _ = scene.say("--plain", address(server))
            assert code == 0 and any("is encrypted" in line for line in output) == encrypted, (value, output)


def test_a_person_sees_that_it_is_encrypted():
    with Scene() as scene, scene.server(scene.certificates.own("server")) as server:
        with Terminal("-username", "ann", f"tls://{address(server)}", environment=scene.environment, width=120) as terminal:
            terminal.wait("Nobody but .* itself vouches for its certificate")
            terminal.wait(FINGERPRINT)
            terminal.wait(ASKED + r"\Z")
            terminal.type("yes")
            terminal.keys("Enter")
            terminal.wait(r"The connection is encrypted \(TLSv1\.3, TLS_\w+\)\. The server's certificate")
            terminal.type("hello")
            terminal.keys("Enter")
            terminal.wait("ann: hello$")
            terminal.type("!exit")
            terminal.keys("Enter")
            assert terminal.ended() == 0
        with Terminal("-username", "ann", f"tls://{address(server)}", environment=scene.environment, width=120) as terminal:
            terminal.wait(r"is the one that was seen before\.")


def test_a_person_is_told_of_a_changed_certificate_and_goes_nowhere():
    with Scene() as scene:
        first, second = scene.certificates.own("first"), scene.certificates.own("second")
        with scene.server(first) as server:
            port = server.port
            scene.trust(server, first)
        with scene.server(second, port=port) as server:
            with Terminal("-username", "ann", f"tls://{address(server)}", environment=scene.environment, width=120) as terminal:
                terminal.wait("is not the one it was; nothing was sent")
                assert terminal.ended() == 1


def test_a_server_that_comes_back_with_another_certificate_is_not_talked_to():
    with Scene() as scene:
        first, second = scene.certificates.own("first"), scene.certificates.own("second")
        server = scene.server(first)
        scene.trust(server, first)
        try:
            with Filter("-username", "ann", "--json", "--tls", address(server), environment=scene.environment) as client:
                client.give(b"hello\n")
                server.log.wait("joined name=\"ann\"")
                server.process.kill()
                server.process.wait()
                server = scene.server(second, port=server.port)
                client.process.wait(60)
                _, errors = client.process.communicate()
                assert client.process.returncode == 1 and b"is not the one it was; nothing was sent" in errors, errors
                assert server.log.find("joined") is None
        finally:
            server.process.kill()
            server.process.wait()


def test_what_is_said_while_the_server_is_killed_is_said_once():
    count = 300 if BUILD_KIND == "plain" else 90
    with Scene() as scene, tempfile.TemporaryDirectory() as folder:
        pair = scene.certificates.own("server")
        journal = f"sqlite:{folder}/chat.db"
        server = scene.server(pair, journal=journal)
        scene.trust(server, pair)
        try:
            with Filter("-username", "ann", "--json", "--tls", address(server), environment=scene.environment) as client:
                for life in range(3):
                    for i in range(life * count // 3, (life + 1) * count // 3):
                        client.give(f"line {i}\n".encode())
                    if life == 2:
                        break
                    server.log.wait("joined name=\"ann\"")
                    server.process.kill()
                    server.process.wait()
                    server = scene.server(pair, journal=journal, port=server.port)
                server.log.wait("joined name=\"ann\"")
                code, _, errors = client.end()
                assert code == 0, errors
            server.stop()
            with contextlib.closing(sqlite3.connect(f"{folder}/chat.db")) as database:
                lines = [row[0] for row in database.execute(
                    "SELECT text FROM message WHERE participant = 'ann' AND text LIKE 'line %' ORDER BY place")]
            assert lines == [f"line {i}" for i in range(count)], lines
        finally:
            server.process.kill()
            server.process.wait()


def test_a_torn_connection_is_made_anew_and_a_half_said_line_is_said():
    """A reset in the midst, by a proxy that knows nothing of TLS."""
    with Scene() as scene, scene.server(pair := scene.certificates.own("server")) as server:
        listener = socket.create_server((HOST, 0))
        scene.known().parent.mkdir()
        scene.known().write_text("%s:%d %s\n" % (*listener.getsockname(), scene.certificates.fingerprint(pair[0])))
        links = []

        def carry(source, target):
            try:
                while data := source.recv(4096):
                    target.sendall(data)
            except OSError:
                pass

        def accept():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                upstream = socket.create_connection((HOST, server.port))
                links.append((client, upstream))
                for pair in ((client, upstream), (upstream, client)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        with Filter("-username", "ann", "--plain", "--tls", "%s:%d" % listener.getsockname(), environment=scene.environment) as client:
            client.give(b"one\n")
            server.log.wait("joined name=\"ann\"")
            client, upstream = links[0], client
            for link in client:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                link.shutdown(socket.SHUT_RDWR)
            upstream.give(b"two\n")
            server.log.wait("joined name=\"ann\"", count=2)
            code, output, errors = upstream.end()
            assert code == 0, errors
            assert [line for line in output if line.startswith("ann: ")] == ["ann: one", "ann: two"], output
        listener.close()


def test_leaving_while_the_handshake_waits_takes_no_time():
    with Scene() as scene, Fake() as fake:
        with Terminal("-username", "ann", f"tls://{fake.address}", environment=scene.environment) as terminal:
            peer = fake.accept()
            assert peer.connection.recv(4096)[:2] == b"\x16\x03"
            terminal.type("!exit")
            terminal.keys("Enter")
            assert terminal.ended() == 0


if __name__ == "__main__":
    main()
