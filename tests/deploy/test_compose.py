"""compose.yaml: the tools understand it, it says nothing secret and grants nothing needless, and the balancer does balance."""

import collections
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from support import ROOT, Checkout, free_port, main, skip, variables, wait_for

sys.path += ["/usr/lib/python3/dist-packages", str(ROOT / "tests/talk")]
import yaml  # noqa: E402

import talk  # noqa: E402

FOLDER = ROOT / "deploy"
PROFILES = "single", "cluster", "gochat"


def compose():
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())


def services():
    return compose()["services"].items()


def checkout():
    return Checkout(*(f"deploy/{name}" for name in
                      ("compose.yaml", "make-secrets", ".env.example", "haproxy.cfg", "redis.conf", "rabbitmq.conf", "Dockerfile")))


def tool():
    """The command of the compose that is installed."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    return skip("there is no docker compose; the Debian package docker-compose has one")


# ---- What is written. ----

def test_each_profile_is_understood():
    command = tool()
    with checkout() as copy:
        assert copy.run(copy.root / "deploy/make-secrets").returncode == 0
        secrets = [path.read_text().strip() for path in (copy.root / "deploy/secrets").iterdir()]
        for arguments in [], *(["--profile", profile] for profile in PROFILES):
            done = copy.run(*command, *arguments, "config", cwd=copy.root / "deploy")
            assert done.returncode == 0, done.stdout
            assert len(secrets) == 4 and not any(secret in done.stdout for secret in secrets), "a password is shown"


def test_without_passwords_nothing_starts():
    command = tool()
    with checkout() as copy:
        done = copy.run(*command, "config", cwd=copy.root / "deploy", environment={"CHAT_SECRETS": ""})
        assert done.returncode != 0 and "Run deploy/make-secrets first" in done.stdout, done.stdout


def test_passwords_are_made_once_and_are_nobody_elses():
    with checkout() as copy:
        script, folder = copy.root / "deploy/make-secrets", copy.root / "deploy/secrets"
        assert copy.run(script).returncode == 0
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        made = {path.name: path.read_text() for path in folder.iterdir()}
        assert len(set(made.values())) == 4 and all(re.fullmatch("[0-9a-f]{48}\n", text) for text in made.values()), made
        assert {f"{name}.txt" for name in compose()["secrets"]} == set(made)
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o444 for path in folder.iterdir())
        (copy.root / "deploy/.env").write_text("CHAT_SECRETS=./secrets\n")
        assert copy.run(script).stdout == ""
        assert {path.name: path.read_text() for path in folder.iterdir()} == made
        assert (copy.root / "deploy/.env").read_text() == "CHAT_SECRETS=./secrets\n"


def test_every_service_is_healthy_hardened_and_not_root():
    for name, service in services():
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["user"] not in ("root", "0", 0), name
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and "cap_add" not in service, name
        assert set(service["profiles"]) <= set(PROFILES), name
        assert "stop_grace_period" in service, name


def test_what_is_named_exists():
    whole = compose()
    stages = re.findall(r"^FROM \S+ AS (\w+)", (FOLDER / "Dockerfile").read_text(), re.M)
    used = collections.defaultdict(set)
    for name, service in services():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (FOLDER / source).is_file() and volume.endswith(":ro"), volume
            else:
                used["volumes"].add(source)
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", []))
        assert service.get("build", {}).get("target", "server") in stages, name
        for other, how in service.get("depends_on", {}).items():
            assert set(service["profiles"]) <= set(whole["services"][other]["profiles"]), (name, other)
            assert how == {"condition": "service_healthy"}, (name, other)
    for kind, names in used.items():
        assert names == set(whole[kind]), (kind, names)


def test_one_port_is_published_and_the_rest_is_inside():
    assert compose()["networks"]["back"] == {"internal": True}
    for name, service in services():
        published = service.get("ports", [])
        assert published in ([], ["${CHAT_PORT:-7777}:7777"]), name
        assert bool(published) == (name in ("server", "balancer", "gochat")), name
        if not published and not name.startswith("server"):
            assert service["networks"] == ["back"], name


def test_no_password_is_written_anywhere():
    texts = [path.read_text() for path in FOLDER.iterdir() if path.is_file()]
    for name, service in services():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASS|TOKEN", variable):
                assert variable.endswith("_FILE") and re.match("/(tmp|run/secrets)/", value), (name, variable)
                assert value.rsplit("/", 1)[1] in service["secrets"], (name, variable)
    for text in texts:
        assert not re.search(r"\w+://[^\s/:@]+:[^\s/@]+@", text), "a URL with a password"


def test_variables_are_options():
    known = variables("TCPSERVER", "CHAT_") | variables("MESSAGEAPI", "MESSAGEAPI_")
    for name, service in services():
        named = {variable for variable in service.get("environment", {}) if re.match("CHAT_|MESSAGEAPI_", variable)}
        assert named <= known, (name, named - known)
    asked = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    offered = set(re.findall(r"^#?(\w+)=", (FOLDER / ".env.example").read_text(), re.M))
    assert asked == offered - {"COMPOSE_PROFILES"}, asked ^ offered


# Who runs a command of deploy/README.md; the profiles whose images there are not everywhere are only looked at.
RUN_BY = {
    "deploy/package build/packages": "test_package.py test_the_packages_are_right",
    "sudo apt install ./build/packages/tcpchat-server_*.deb": "test_package.py it_comes_and_goes",
    "systemctl status tcpserver": "test_boot.py test_systemd_starts_and_watches_the_server",
    "systemctl reload tcpserver": "test_boot.py test_systemd_starts_and_watches_the_server",
    "systemctl restart tcpserver": "test_boot.py test_systemd_starts_and_watches_the_server",
    "deploy/make-secrets": "test_compose.py test_passwords_are_made_once_and_are_nobody_elses",
    "docker compose -f deploy/compose.yaml up -d": "test_docker.py compose_starts_one_server",
    "docker compose -f deploy/compose.yaml --profile cluster up -d": "test_compose.py test_each_profile_is_understood",
    "docker compose -f deploy/compose.yaml --profile gochat up -d": "test_compose.py test_each_profile_is_understood",
}


def test_each_command_of_the_readme_is_run_by_a_test():
    lines = [line[4:] for line in (FOLDER / "README.md").read_text().splitlines() if line.startswith("    ")]
    assert {re.split(r"\s+#", line)[0].strip() for line in lines} == set(RUN_BY), lines
    for who in RUN_BY.values():
        file, name = who.split()
        assert f"def {name}(" in (ROOT / "tests/deploy" / file).read_text(), who


# ---- What runs. ----

def entrypoint(name, replacements):
    """The shell script that a service starts with, for this machine."""
    script = dict(services())[name]["entrypoint"][-1].replace("$$", "$")
    for old, new in replacements.items():
        assert old in script, (old, script)
        script = script.replace(old, new)
    return script


def test_the_server_gets_a_password_that_others_cannot_read():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "secrets").mkdir()
        (folder / "copies").mkdir()
        secret = folder / "secrets/admin_password"
        secret.write_text("of nobody else\n")
        secret.chmod(0o444)
        words = dict(services())["server"]["entrypoint"]
        assert words[:2] == ["bash", "-ec"] and words[3:] == ["tcpserver"], words
        script = words[2].replace("$$", "$").replace("/tmp/", f"{name}/copies/").replace("/run/secrets", f"{name}/secrets")
        environment = dict(talk.clean_environment(), CHAT_ADMIN_PASSWORD_FILE=f"{name}/copies/admin_password",
                           PATH=f"{os.path.dirname(talk.program('TCPSERVER'))}:{os.environ['PATH']}")
        server = subprocess.Popen(["bash", "-ec", script, "tcpserver", "--listen", "127.0.0.1:0", "--journal", "memory"],
                                  env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert b"listening" in server.stdout.readline()
            assert stat.S_IMODE((folder / "copies/admin_password").stat().st_mode) & 0o077 == 0
            server.terminate()  # the shell has become the server
            assert server.wait(20) == 0
        finally:
            server.kill()
            server.wait()


class Service:
    """A service of compose.yaml whose program runs here: its own script and variables, other folders and addresses."""

    def __init__(self, name, folder, replacements):
        self.folder = Path(folder) / name
        (self.folder / "secrets").mkdir(parents=True)
        (self.folder / "copies").mkdir()
        self.service = dict(services())[name]
        self.replacements = {"/tmp/": f"{self.folder}/copies/", "/run/secrets": f"{self.folder}/secrets"} | replacements

    def here(self, text):
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        return text

    def start(self, secrets, program, *arguments):
        for name in self.service["secrets"]:
            (self.folder / "secrets" / name).write_text(secrets[name] + "\n")
            (self.folder / "secrets" / name).chmod(0o444)
        given = {name: self.here(value) for name, value in self.service["environment"].items() if not value.startswith("$")}
        words = self.service["entrypoint"]
        path = f"{os.path.dirname(talk.program(program))}:{os.environ['PATH']}"
        self.process = subprocess.Popen([*words[:2], self.here(words[2].replace("$$", "$")), *words[3:], *arguments],
                                        env=dict(talk.clean_environment(), PATH=path, **given), cwd=self.folder,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.log = talk.Lines(self.process.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.join()


def test_gochat_keeps_what_is_said_by_way_of_the_broker():
    if "MESSAGEAPI" not in os.environ:
        skip("messageapi is not built here")
    from postgres import Postgres, Skip  # pylint: disable=import-outside-toplevel
    from rabbitmq import Rabbitmq, free_ports  # pylint: disable=import-outside-toplevel
    try:
        with Rabbitmq() as rabbitmq, Postgres() as postgres, tempfile.TemporaryDirectory() as folder:
            gochat_keeps(rabbitmq, postgres, folder, free_ports(5)[4])
    except (Skip, talk.Skip) as reason:
        skip(str(reason))


def gochat_keeps(rabbitmq, postgres, folder, port):
    secrets = {"broker_password": "guest", "database_password": "secret", "messageapi_token": "abc123"}
    places = {"tcpchat@rabbitmq": f"guest@127.0.0.1:{rabbitmq.port}", "tcpchat@postgres/tcpchat": f"chat@127.0.0.1:{postgres.port}/chat",
              "message-api:50051": f"127.0.0.1:{port}", "0.0.0.0:50051": f"127.0.0.1:{port}"}
    with Service("message-api", folder, places) as store:
        store.start(secrets, "MESSAGEAPI")
        store.log.wait("listening")
        for number, said in enumerate(("first", "second")):
            with Service("gochat", f"{folder}/{said}", places) as server:
                server.start(secrets, "TCPSERVER", "--listen", "127.0.0.1:0")
                where = server.log.wait(r"listening.*127\.0\.0\.1:(\d+)")[0].group(1)
                client = talk.Client(("127.0.0.1", int(where)))
                client.say("ann")
                client.say(said)
                lines = iter(client.line, f"ann: {said}")
                assert sum("ann: first" in line for line in lines) == number, "a server has to tell what the one before it has kept"
                client.close()


def test_redis_wants_the_password_and_writes_at_once():
    for program in "redis-server", "redis-cli":
        if shutil.which(program) is None:
            skip(f"there is no {program}; the Debian packages redis-server and redis-tools have them")
    port = str(free_port())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "password").write_text("abc123\n")
        configuration = (FOLDER / "redis.conf").read_text().replace("/tmp/", f"{name}/").replace("dir /data", f"dir {name}")
        (folder / "redis.conf").write_text(configuration.replace("bind * -::*", f"bind 127.0.0.1\nport {port}"))
        script = entrypoint("redis", {"/tmp/": f"{name}/", "/run/secrets/database_password": f"{name}/password",
                                      "/usr/local/etc/redis/redis.conf": f"{name}/redis.conf"})
        server = subprocess.Popen(["sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

        def ask(*words, password="abc123"):
            done = subprocess.run(["redis-cli", "-p", port, *words], env=dict(os.environ, REDISCLI_AUTH=password),
                                  capture_output=True, text=True, timeout=20, check=False)
            return done.stdout.split()

        try:
            wait_for(lambda: ask("ping") == ["PONG"], "Redis answers")
            assert ask("ping", password="wrong")[0] == "NOAUTH", ask("ping", password="wrong")
            for setting, value in ("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction"):
                assert ask("config", "get", setting) == [setting, value]
            assert stat.S_IMODE((folder / "password.conf").stat().st_mode) == 0o600
        finally:
            server.terminate()
            server.wait()


class Balancer:
    """haproxy with the configuration of the cluster, in front of servers at these ports of this machine."""

    def __init__(self, *ports):
        if shutil.which("haproxy") is None:
            skip("there is no haproxy; the Debian package haproxy has it")
        self.port = free_port()
        text = (FOLDER / "haproxy.cfg").read_text()
        assert text.count("bind :::7777 v4v6") == 1
        text = text.replace("bind :::7777 v4v6", f"bind 127.0.0.1:{self.port}").replace("maxconn 90000", "maxconn 1000")
        for number, port in enumerate(ports, 1):
            assert f"server{number}:7777" in text
            text = text.replace(f"server{number}:7777", f"127.0.0.1:{port}")
        self.text = re.sub(r"^\tserver server\d server\d:.*\n", "", text, flags=re.M)

    def __enter__(self):
        self.file = tempfile.NamedTemporaryFile("w", suffix=".cfg")
        self.file.write(self.text)
        self.file.flush()
        self.process = subprocess.Popen(["haproxy", "-f", self.file.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        self.output = talk.Lines(self.process.stdout)
        wait_for(self.answers, "the balancer listens")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.output.join()
        self.file.close()

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def join(self, name):
        client = talk.Client(("127.0.0.1", self.port))
        client.say(name)
        client.expect_welcome(name)
        return client


def test_haproxy_finds_nothing_wrong():
    if shutil.which("haproxy") is None:
        skip("there is no haproxy; the Debian package haproxy has it")
    done = subprocess.run(["haproxy", "-c", "-f", str(FOLDER / "haproxy.cfg")], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stdout + done.stderr


def people(server):
    """How many clients a server has, as it tells itself; who asks is not counted."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as asker:
        asker.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: asker.recv(65536), b"")).decode()
    return int(re.search(r'^chat_connections\{door="line"\} (\d+)', text, re.M).group(1))


def test_clients_are_shared_out_and_a_server_that_stops_gets_none():
    with talk.Server() as one, talk.Server() as two, Balancer(one.port, two.port) as balancer:
        clients = [balancer.join(f"person{number}") for number in range(8)]
        assert people(one) == people(two) == 4, (people(one), people(two))
        clients[0].say("hello through the balancer")
        while clients[0].line() != "person0: hello through the balancer":
            pass
        one.send_signal(signal.SIGTERM)
        goodbyes = [client for client in clients if is_told_goodbye(client, one)]
        assert len(goodbyes) == 4, len(goodbyes)
        assert one.ended() == 0
        late = [balancer.join(f"late{number}") for number in range(6)]
        assert people(two) == 10
        for client in clients + late:
            client.close()


def is_told_goodbye(client, server):
    """Whether the client's server is the one that stops: that one closes, the other answers."""
    client.say("/ping are you there?")
    while True:
        try:
            line = client.line()
        except (AssertionError, ConnectionError):
            return True
        if "are you there?" in line:
            return False
        if "terminated its operation" in line:
            return True


class NotReady:
    """A server that lives but says that it is not ready; it counts who comes for anything else than to look."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.strangers = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            with peer:
                if peer.recv(1000).startswith(b"GET /readyz "):
                    peer.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                else:
                    self.strangers += 1


def test_a_server_that_is_not_ready_gets_nobody():
    sick = NotReady()
    with talk.Server() as well, Balancer(well.port, sick.port) as balancer:
        balancer.output.wait("server2.* is DOWN")
        clients = [balancer.join(f"person{number}") for number in range(6)]
        assert people(well) == 6
        assert sick.strangers == 0
        for client in clients:
            client.close()


main(globals())
