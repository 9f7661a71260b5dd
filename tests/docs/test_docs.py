"""What is written is true: the commands of the README run, the options are those that there are, the links lead somewhere."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "talk"))

import manual  # noqa: E402
import talk  # noqa: E402

README = os.path.join(ROOT, "README.md")
PATH_OF_BUILD = "build/release/"

# Who runs a command of the README: a test of another file, by its name, or BY_HAND, below.
BY_HAND = "here"
STRANGER = r"""printf '%s\n' ann /join "hello, stranger" /leave | nc -N localhost 7777"""
EVENTS = (r"""printf '%s\n' log /events '{"op":"join","room":"tea","id":1}' """
          r"""'{"op":"send","room":"tea","text":"hello","id":2}' | nc -N localhost 7777""")
RUN_BY = {
    "./run": "deploy/test_run.py test_one_run_starts_a_server_and_stops_it",
    "./check": "deploy/test_check.py test_every_preset_counts",
    "./run server": "deploy/test_run.py test_server_and_client_pass_their_arguments_on",
    "./run client ann": "deploy/test_run.py test_server_and_client_pass_their_arguments_on",
    "./run demo": "docs/test_docs.py test_the_demo_has_a_server_and_three_people",
    "cmake --workflow --preset release": "deploy/test_run.py test_a_failed_build_is_shown",
    "./dockerbuild.sh server": "deploy/test_docker.py test_the_containers_talk",
    "./dockerbuild.sh client": "deploy/test_dockerbuild.py test_a_name_is_asked_for",
    "deploy/package build/packages": "deploy/test_package.py test_the_packages_are_right",
    "deploy/make-secrets": "deploy/test_compose.py test_passwords_are_made_once_and_are_nobody_elses",
    "docker compose -f deploy/compose.yaml up -d": "deploy/test_docker.py test_the_containers_talk",
    "./dockerbuild.ps1 server": "deploy/test_powershell.py test_both_scripts_run_the_same_docker_commands",
    "build/release/tcpserver/tcpserver": BY_HAND,
    "build/release/tcpclient/tcpclient -username ann": BY_HAND,
    "tcpclient -username ann chat.example.org": BY_HAND,
    'echo "build failed" | tcpclient -username bot': BY_HAND,
    "tcpclient -username log < /dev/null > chat.log": BY_HAND,
    "telnet localhost 7777": BY_HAND,
    "tcpserver --journal postgres://chat@localhost/chat --journal-password-file db.secret":
        "talk/test_postgres.py test_the_password_comes_from_a_file_that_only_the_server_may_read",
    "tcpserver --tls self": "talk/test_tls.py test_an_own_certificate_is_kept_over_restarts",
    "tcpclient --tls chat.example.org": "tcpclient/test_tls.py test_what_is_seen_first_is_remembered_and_a_change_is_told",
    "tcpclient -username ann --room tea": BY_HAND,
    'tcpclient -username bob --room tea -c "is there tea?"': BY_HAND,
    "tcpclient -username visitor -c /rooms": BY_HAND,
    'echo "/topic green or black?" | tcpclient -username bob --room tea': BY_HAND,
    "tcpclient -username log --room tea --json < /dev/null": BY_HAND,
    'curl -d "build failed" localhost:7777/rooms/ops/messages': BY_HAND,
    'curl -u ci: -d "build passed" localhost:7777/rooms/ops/messages': BY_HAND,
    "curl localhost:7777/rooms": BY_HAND,
    "curl -N localhost:7777/rooms/ops/stream": BY_HAND,
    "echo hello | docs/bot.sh http://localhost:7777 ops": BY_HAND,
    "tcpclient --grpc --create": BY_HAND,
    "tcpclient --grpc --list": BY_HAND,
    "tcpclient --grpc": BY_HAND,
    'echo "build failed" | tcpclient --grpc --room lobby -username bot': BY_HAND,
    "grpcurl -plaintext localhost:7777 list": "docs/test_grpcurl.py test_the_calls_of_the_readme",
    "grpcurl -plaintext localhost:7777 rpc.ChatService/ListChatRooms": "docs/test_grpcurl.py test_the_calls_of_the_readme",
    """grpcurl -plaintext -d '{"private": false}' localhost:7777 rpc.ChatService/CreateChatRoom""":
        "docs/test_grpcurl.py test_the_calls_of_the_readme",
    "messageapi --amqp amqp://chat@localhost/ --amqp-password-file mq.secret --postgres postgres://chat@localhost/chat":
        "engines/test_amqp.py test_the_commands_of_the_readme",
    "tcpserver --journal amqp://chat@localhost/ --journal-password-file mq.secret --message-api localhost:50051":
        "engines/test_amqp.py test_the_commands_of_the_readme",
    STRANGER: BY_HAND,
    EVENTS: BY_HAND,
}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def commands():
    """The commands of the README, without what explains them."""
    lines = [line[4:] for line in read(README).splitlines() if line.startswith("    ")]
    return [re.split(r"\s{2,}#|\s+#", line)[0].strip() for line in lines]


def options_of(program):
    help_text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    in_usage = re.findall(r"--[a-z-]+", help_text.splitlines()[0])
    return set("--" + name for name in re.findall(r"^  --?([a-z-]+)", help_text, re.MULTILINE)) | set(in_usage)


def man_options(page):
    items = re.findall(r"^\.It Fl .*", read(page), re.MULTILINE)
    return {"--" + name for item in items for name in re.findall(r"(?:Fl|,) --?([a-z-]+)", item.replace("Fl ", "Fl -"))}


def test_each_command_of_the_readme_is_run_by_a_test():
    found = commands()
    assert len(found) > 10, "the README has lost its commands"
    for command in found:
        assert command in RUN_BY, f"no test runs: {command}"
    for who in set(RUN_BY.values()) - {BY_HAND}:
        file, name = who.split()
        assert f"def {name}(" in read(f"tests/{file}"), f"there is no test {who}"


SCRIPT = """
set -e
ip link set lo up
cd "$HERE"
exec 3> >(cat > server.log)
tcpserver > port.txt 2>&3 & server=$!
until grep -q listening port.txt; do kill -0 $server; read -rt 0.02 <> <(:) || :; done
tcpclient -username log 127.0.0.1 < /dev/null > chat.log & log=$!
until grep -q Welcome chat.log; do kill -0 $log; read -rt 0.02 <> <(:) || :; done
echo "build failed" | tcpclient -username bot
tcpclient -username ann localhost <<< hello > ann.txt
{ read -r asked; read -r welcome; } < <(exec 9<>/dev/tcp/localhost/7777; head -n 1 <&9; echo tel >&9; head -n 1 <&9)
[[ $asked == *"type your name"* && $welcome == *"Welcome tel "* ]]
tcpclient -username log --room tea --json < /dev/null > tea.json & tea=$!
until grep -q tea tea.json; do kill -0 $tea; read -rt 0.02 <> <(:) || :; done
tcpclient -username bob --room tea -c "is there tea?" > bob.txt
tcpclient -username ann --room tea <<< hi > ann.txt
tcpclient -username visitor -c /rooms > rooms.txt
echo "/topic green or black?" | tcpclient -username bob --room tea > topic.txt
exec 9<>/dev/tcp/localhost/7777
printf '%s\\n' carl /join >&9
while read -r line <&9; do [[ $line == *[Ww]ait* ]] && break; done
STRANGER > stranger.txt
while read -r line <&9; do [[ $line == *"hello, stranger"* ]] && break; done
exec 9>&-
EVENTS > events.txt
until grep -q '"hello"' tea.json; do kill -0 $tea; read -rt 0.02 <> <(:) || :; done
curl -d "build failed" localhost:7777/rooms/ops/messages > said.json
curl -u ci: -d "build passed" localhost:7777/rooms/ops/messages > said.json
curl localhost:7777/rooms > rooms.json
curl -N localhost:7777/rooms/ops/stream > stream.txt & stream=$!
echo hello | setsid "$ROOT"/docs/bot.sh http://localhost:7777 ops > bot.txt 2> bot.log & bot=$!
until grep -q ": hello" stream.txt; do kill -0 $stream; read -rt 0.02 <> <(:) || :; done
until grep -q '"hello"' bot.txt; do kill -0 $bot; read -rt 0.02 <> <(:) || :; done
tcpclient --grpc --create > made.txt
tcpclient --grpc --list > ids.txt
tcpclient --grpc <<< $'1\\nann\\nhello through gRPC' > picked.txt
echo "build failed" | tcpclient --grpc --room lobby -username bot > grpc.txt
kill -TERM $server
wait $server
wait $stream
kill -- -$bot
wait $log
wait $tea
""".replace("STRANGER", STRANGER).replace("EVENTS", EVENTS)


def test_the_commands_by_hand_do_what_the_readme_says():
    """In a network of its own, so that the default port is free."""
    if subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode != 0:
        talk.skip("network namespaces are not permitted")
    binaries = [os.path.dirname(os.environ[name]) for name in ("TCPSERVER", "TCPCLIENT")]
    environment = talk.clean_environment()
    environment["PATH"] = ":".join(binaries + [environment["PATH"]])
    with tempfile.TemporaryDirectory() as here:
        environment["HERE"] = here
        environment["ROOT"] = ROOT
        done = subprocess.run(["unshare", "--net", "bash", "-c", SCRIPT], capture_output=True, text=True, check=False,
                              timeout=talk.DEADLINE, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        log, tea, rooms, stranger, events = (
            read(os.path.join(here, name)) for name in ("chat.log", "tea.json", "rooms.txt", "stranger.txt", "events.txt"))
        stream, bot = (read(os.path.join(here, name)) for name in ("stream.txt", "bot.txt"))
        made, ids, picked, through = (read(os.path.join(here, f"{name}.txt")) for name in ("made", "ids", "picked", "grpc"))
    assert "bot: build failed" in log and "ann: hello" in log, log
    assert "Goodbye. ==" in log, log
    assert "tea?" not in log and "tea" in rooms and "hello, stranger" in stranger, (log, rooms, stranger)
    heard = [json.loads(line) for line in tea.splitlines()]
    said = [event["text"] for event in heard if event["kind"] == "message" and event["room"] == "tea"]
    assert said == ["is there tea?", "hi", "hello"], heard
    assert re.search(r"guest#[0-9a-f]{6}: build failed\n.*ci: build passed\n.*bot: hello\n", stream), stream
    assert [json.loads(line)["text"] for line in bot.splitlines()] == ["build failed", "build passed", "hello"], bot
    assert made.startswith("Chat room created: ") and made.split()[-1] in ids.split(), (made, ids)
    assert "[1]: " in picked and "Joining room\n" in picked and picked.endswith("ann: hello through gRPC\n"), picked
    assert through.endswith("bot: build failed\n") and log.count("bot: build failed") == 2, (through, log)
    assert '"id":2' in events.replace(" ", ""), events


def checkout_with_binaries(folder):
    """What ./run needs, with these programs as the built ones, and nothing to install or to build."""
    for name in ("run", "deploy"):
        source = os.path.join(ROOT, name)
        (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, os.path.join(folder, name))
    for name in ("TCPSERVER", "TCPCLIENT"):
        place = os.path.join(folder, PATH_OF_BUILD, name.lower())
        os.makedirs(place)
        os.symlink(os.environ[name], os.path.join(place, name.lower()))
    tools = os.path.join(folder, "tools")
    os.makedirs(tools)
    for name, output in (("cmake", ""), ("dpkg-query", "installed")):
        with open(os.path.join(tools, name), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho {output}\n")
        os.chmod(os.path.join(tools, name), 0o755)
    return tools


def test_the_demo_has_a_server_and_three_people():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = talk.clean_environment()
    with tempfile.TemporaryDirectory() as folder:
        tools = checkout_with_binaries(folder)
        environment.update(PATH=tools + ":" + environment["PATH"], TMUX_TMPDIR=folder, TCPCHAT_PORT=str(port),
                           LC_ALL="C.UTF-8", HOME=folder, XDG_STATE_HOME=folder)
        environment.pop("TMUX", None)

        def tmux(*words):
            return subprocess.run(["tmux", "-L", "outer", "-f", "/dev/null", *words], env=environment, text=True,
                                  capture_output=True, check=False).stdout

        def shown(*words):
            screen = tmux("capture-pane", "-p")
            return all(word in screen for word in words)

        tmux("new-session", "-d", "-x", "160", "-y", "50", os.path.join(folder, "run") + " demo")
        try:
            talk.wait_for(lambda: shown("You(ann)>", "You(bob)>", "You(carol)>"), "three prompts")
            tmux("send-keys", "hello from the last pane", "Enter")
            talk.wait_for(lambda: tmux("capture-pane", "-p").count(": hello from the last pane") == 3, "three echoes")
        finally:
            for name in os.listdir(os.path.join(folder, f"tmux-{os.getuid()}")):
                subprocess.run(["tmux", "-L", name, "kill-server"], env=environment, capture_output=True, check=False)


def test_the_readme_and_the_manuals_have_the_options_that_there_are():
    server = options_of(os.environ["TCPSERVER"])
    client = options_of(os.environ["TCPCLIENT"])
    table = set(re.findall(r"^\| `(--[a-z-]+)", read(README), re.MULTILINE))
    assert table == server - {"--help", "--version"}, table ^ server
    assert man_options("docs/man/tcpserver.8") == server | {"--completions"}, man_options("docs/man/tcpserver.8") ^ server
    assert man_options("docs/man/tcpclient.1") == client | {"--completions"}, man_options("docs/man/tcpclient.1") ^ client
    if "MESSAGEAPI" in os.environ:
        messageapi = options_of(os.environ["MESSAGEAPI"])
        assert man_options("docs/man/messageapi.8") == messageapi | {"--completions"}, man_options("docs/man/messageapi.8") ^ messageapi


def test_the_help_of_the_client_has_twenty_lines_at_most():
    text = subprocess.run([os.environ["TCPCLIENT"], "--help"], capture_output=True, text=True, check=True).stdout
    assert len(text.splitlines()) <= 20 and max(map(len, text.splitlines())) <= 110, text


def test_the_manuals_are_well_formed():
    for page in ("docs/man/tcpserver.8", "docs/man/tcpclient.1", "docs/man/messageapi.8"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "error", os.path.join(ROOT, page)], capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_commands_in_the_manual_are_made_from_the_table():
    """Where they differ, cmake --build --preset dev --target update-man makes them anew."""
    wanted = manual.made(os.environ["MAN_COMMANDS"])
    assert wanted.count(".It Ic /") >= 19, wanted
    _, part, _ = manual.split(manual.PAGE.read_bytes().decode())
    assert part == wanted, part


def test_the_programs_do_not_tell_where_they_were_built():
    if talk.BUILD_KIND != "plain":
        talk.skip("a sanitizer tells where the source is")
    for name in ("TCPSERVER", "TCPCLIENT"):
        with open(os.environ[name], "rb") as file:
            assert ROOT.encode() + b"/" not in file.read(), f"{name} has paths of the machine that built it"


def test_links_lead_somewhere():
    for page in ("README.md", "docs/ARCHITECTURE.md", "docs/PROTOCOL.md", "docs/PERFORMANCE.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", read(page)):
            target = os.path.join(ROOT, os.path.dirname(page), link)
            assert os.path.exists(target), f"{page}: {link}"


if __name__ == "__main__":
    talk.main()
