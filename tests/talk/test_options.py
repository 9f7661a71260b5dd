"""Options, their variables, the environment file; what the server says about itself and about what it cannot do."""

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess

from talk import (
    DEADLINE, MAX_LINE, Server, clean_environment, main, program, run_server, skip, temporary_file, too_long, wait_for,
)

# For each option: values that are refused, and a part of what the message says is allowed.
WRONG = {
    "listen": (["nonsense", "127.0.0.1", "127.0.0.1:70000", "127.0.0.1:x", "[::1:7777", "127.0.0.1:-1", "127.0.0.1:0=mail",
                "127.0.0.1:0="], "PORT"),
    "journal": (["disk", "sqlite", "sqlite:", "memory:0", "memory:x", "memory:-1", "memory:1x", ""], "memory"),
    "journal-patience": (["-1", "long", "3601", ""], "whole number"),
    "message-api": (["nonsense", "localhost", "localhost:70000", ""], "HOST:PORT"),
    "sync": (["half", "FULL", ""], "full, normal, off"),
    "retain": (["0", "-1", "1w", "d", "30days", "1.5", "99999999999999999999", ""], "days"),
    "max-clients": (["0", "-1", "many", "1.5", "99999999999999999999", ""], "whole number"),
    "max-per-address": (["-1", "many", ""], "whole number"),
    "allow-origin": (["example.org", "https://", "://x", "https://example.org/path", ""], "origin"),
    "tls": (["on", "SELF", "true", ""], "off, self, files"),
    "max-line": (["0", "-1", "x", "65535x", "99999999999G", ""], "size"),
    "rooms": (["shut", "OPEN", ""], "open, closed"),
    "max-rooms": (["0", "-1", "many", ""], "whole number"),
    "name-timeout": (["-1", "soon", "1s", ""], "whole number"),
    "peer-timeout": (["-1", "0", "late", ""], "whole number"),
    "history": (["-1", "1001", "some", "20x", ""], "all or none"),
    "lag-memory": (["-1", "x", "1MB", "99999999999G", ""], "size"),
    "log-level": (["loud", "INFO", ""], "error, warning, info, debug"),
    "log-format": (["xml", "JSON", ""], "text, json"),
}

OTHERS = ("journal-password-file", "message-api-token-file", "tls-cert", "tls-key", "require-tls", "admin-password-file", "config", "env-file", "version", "help",
          "export", "room", "import", "check", "salvage")  # the last five: test_archive.py


def refused(option):
    values, allowed = WRONG[option]
    for value in values:
        for arguments in ([f"--{option}", value], [f"--{option}={value}"]):
            code, output, errors = run_server(*arguments)
            assert code == 2, f"{arguments}: exit code {code}"
            assert not output, output
            lines = errors.splitlines()
            assert any(f"--{option}" in line and f'"{value}"' in line and allowed in line for line in lines), errors


def refused_variable(option):
    """An empty variable counts as not set."""
    values, allowed = WRONG[option]
    name = "CHAT_" + option.upper().replace("-", "_")
    for value in filter(None, values):
        code, _, errors = run_server(environment={name: value})
        assert code == 2, f"{name}={value}: exit code {code}"
        assert name in errors and value in errors and allowed in errors, errors


def test_a_wrong_listen_is_explained():
    refused("listen")


def test_a_wrong_journal_is_explained():
    refused("journal")


def test_a_wrong_patience_with_the_database_is_explained():
    refused("journal-patience")


def test_a_wrong_message_api_is_explained():
    refused("message-api")


def test_a_queue_without_messageapi_is_refused():
    code, output, errors = run_server("--journal", "amqp://127.0.0.1:1")
    assert code == 2 and not output and "--message-api HOST:PORT" in errors, errors


def test_a_password_for_a_journal_that_needs_none_is_refused():
    for journal in ([], ["--journal", "sqlite:x.db"], ["--journal", "memory"]):
        code, output, errors = run_server(*journal, "--journal-password-file", "/nowhere")
        assert code == 2 and not output and "--journal-password-file" in errors and "postgres://" in errors, errors


def test_a_password_in_a_url_is_neither_logged_nor_seen_in_ps():
    for url in ("redis://ann:geheim@127.0.0.1:1", "redis://:geheim@127.0.0.1:1/0", "postgres://ann:ge@heim@127.0.0.1:1/chat",
                "postgres://127.0.0.1:1/chat?user=ann&password=geheim", "postgres://127.0.0.1:1/chat?user=ann&pass%77ord=geheim",
                "postgres://ann:ge#heim@127.0.0.1:1/chat", "postgres://ann:ge?heim@127.0.0.1:1/chat", "redis://:ge#heim@127.0.0.1:1"):
        server = subprocess.Popen([program("TCPSERVER"), "--listen", "127.0.0.1:0", "--journal", url, "--journal-patience", "30"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())
        try:
            line = server.stderr.readline()
            assert "journal" in line and "127.0.0.1:1" in line, line
            arguments = open(f"/proc/{server.pid}/cmdline").read()
            assert "heim" not in line and "heim" not in arguments and "***" in arguments, (line, arguments)
        finally:
            server.kill()
            _, errors = server.communicate()
        assert "heim" not in errors, errors


def test_a_password_in_a_url_that_is_refused_is_not_told():
    for arguments in (["--journal", "postgres://ann:geheim/more@127.0.0.1:1/chat"],
                      ["--journal", "postgres://ann:ge@heim@127.0.0.1:1/chat"],
                      ["--journal", "postgres://ann:ge#heim@127.0.0.1:1/chat"], ["--journal", "postgres://ann:ge?heim@127.0.0.1:1/chat"], ["--journal", "redis://:ge/heim@127.0.0.1:1"],
                      ["--journal", "redis://:ge?heim@127.0.0.1:1"], ["--journal", "mysql://ann:geheim@127.0.0.1:1/chat"],
                      ["--jornal=redis://:geheim@127.0.0.1:1"], ["--journal", "redis://:geheim@127.0.0.1:1:1"]):
        code, output, errors = run_server("--listen", "127.0.0.1:0", *arguments, "--journal-patience", "1")
        assert code in (1, 2) and not output and errors and "heim" not in errors, (arguments, code, errors)


def test_a_wrong_sync_is_explained():
    refused("sync")


def test_a_wrong_retain_is_explained():
    refused("retain")


def test_what_the_memory_journal_would_ignore_is_refused():
    for arguments, environment, named in (
            (["--retain", "100"], None, "--retain"), (["--sync", "full"], None, "--sync"), (["--sync=off"], None, "--sync"),
            ([], {"CHAT_RETAIN": "30d"}, "--retain")):
        for journal in ("memory", "memory:100"):
            code, output, errors = run_server("--listen", "127.0.0.1:0", "--journal", journal, *arguments, environment=environment)
            assert code == 2 and not output and named in errors and "sqlite:FILE" in errors, (arguments, code, errors)
    code, _, _ = run_server("--journal", "memory", "--retain", "100", "--version")
    assert code == 0, code


def test_a_wrong_history_is_explained():
    refused("history")


def test_a_wrong_tls_is_explained():
    refused("tls")
    refused_variable("tls")


def test_a_wrong_max_clients_is_explained():
    refused("max-clients")


def test_a_wrong_max_per_address_is_explained():
    refused("max-per-address")


def test_a_wrong_allow_origin_is_explained():
    refused("allow-origin")


def test_a_wrong_max_line_is_explained():
    refused("max-line")


def test_a_wrong_name_timeout_is_explained():
    refused("name-timeout")


def test_a_wrong_rooms_is_explained():
    refused("rooms")


def test_a_wrong_max_rooms_is_explained():
    refused("max-rooms")


def test_a_password_file_that_others_may_read_is_refused():
    with temporary_file("secret\n") as path:
        os.chmod(path, 0o644)
        code, output, errors = run_server("--admin-password-file", path)
        assert code == 1 and not output and "chmod 600" in errors and "secret" not in errors, errors
    for text in ("", "\n", "x" * 300 + "\n"):
        with temporary_file(text) as path:
            code, output, errors = run_server("--listen", "127.0.0.1:0", "--admin-password-file", path)
            assert code == 1 and "its first line has to be the password" in errors, (text, code, output, errors)
    code, _, errors = run_server("--admin-password-file", "/nonexistent")
    assert code == 1 and "/nonexistent" in errors, errors


def test_a_wrong_peer_timeout_is_explained():
    refused("peer-timeout")


def test_a_wrong_lag_memory_is_explained():
    refused("lag-memory")


def test_a_wrong_log_level_is_explained():
    refused("log-level")


def test_a_wrong_log_format_is_explained():
    refused("log-format")


def test_a_wrong_variable_is_explained_for_every_option():
    for option in WRONG:
        refused_variable(option)


def test_an_unknown_option_is_explained():
    code, output, errors = run_server("--frobnicate", "1")
    assert code == 2 and not output
    assert "--frobnicate" in errors and "--help" in errors, errors


def test_a_missing_value_is_explained():
    code, _, errors = run_server("--max-clients")
    assert code == 2 and "--max-clients" in errors and "missing" in errors, errors


def test_an_argument_that_is_no_option_is_explained():
    code, _, errors = run_server("7777")
    assert code == 2 and "7777" in errors, errors


def test_help_tells_all_options():
    code, output, errors = run_server("--help")
    assert code == 0 and not errors
    for option in [*WRONG, *OTHERS]:
        assert re.search(rf"^\s*--{option}\b", output, re.M), f"--{option} is not in:\n{output}"
    assert "CHAT_" in output, "the variables are not mentioned"
    assert max(map(len, output.splitlines())) <= 130


def test_each_option_of_the_help_is_tested_here():
    _, output, _ = run_server("--help")
    known = {*WRONG, *OTHERS}
    assert set(re.findall(r"^\s*--([a-z-]+)", output, re.M)) <= known


def test_version_is_told():
    code, output, errors = run_server("--version")
    assert code == 0 and not errors
    assert re.fullmatch(r"tcpserver.* \d+\.\d+\.\d+.*\n(.*\n)*", output), output


def assert_limit(server, limit):
    """The longest line of this server has 'limit' bytes."""
    bob = server.join("bob")
    bob.say("x" * limit)
    bob.expect("bob: " + "x" * limit)
    bob.say("x" * (limit + 1))
    bob.expect(too_long(limit))


def test_options_are_understood_in_all_spellings():
    for arguments in (["--max-line", "70"], ["--max-line=70"], ["-max-line", "70"], ["-max-line=70"]):
        with Server(*arguments) as server:
            assert_limit(server, 70)


def test_a_variable_sets_an_option():
    with Server(environment={"CHAT_MAX_LINE": "70"}) as server:
        assert_limit(server, 70)


def test_the_command_line_beats_a_variable():
    with Server("--max-line", "71", environment={"CHAT_MAX_LINE": "70"}) as server:
        assert_limit(server, 71)


def test_several_addresses_may_stand_in_a_variable():
    with Server(listen=(), journal=None, environment={"CHAT_LISTEN": "127.0.0.1:0 127.0.0.2:0"}) as server:
        server.output.wait("now listening from 127.0.0.2:")


def test_an_environment_file_sets_options():
    text = '# how we run it\nexport CHAT_MAX_LINE="70"\n\nCHAT_NAME_TIMEOUT=1\nSOMETHING_ELSE=x\n'
    with temporary_file(text) as path, Server("--env-file", path) as server:
        assert_limit(server, 70)


def test_a_variable_beats_the_environment_file():
    with temporary_file("CHAT_MAX_LINE=71\n") as path:
        with Server("--env-file", path, environment={"CHAT_MAX_LINE": "70"}) as server:
            assert_limit(server, 70)


def test_a_wrong_value_in_the_environment_file_is_explained():
    with temporary_file("CHAT_MAX_CLIENTS=many\n") as path:
        code, _, errors = run_server("--env-file", path)
    assert code == 2 and "CHAT_MAX_CLIENTS" in errors and '"many"' in errors and "whole number" in errors, errors


def test_a_missing_environment_file_is_explained():
    code, _, errors = run_server("--env-file", "/nowhere/at all")
    assert code == 2 and "--env-file" in errors and "/nowhere/at all" in errors, errors


def test_no_environment_file_is_read_unasked():
    with temporary_file("CHAT_MAX_LINE=71\n") as path, Server(environment={"ENV_FILE": path}) as server:
        assert_limit(server, MAX_LINE)


def test_a_configuration_file_sets_options():
    text = "# how we run it\nmax-line = 70\n\nname-timeout = 1\nlisten = 127.0.0.1:0\nlisten = 127.0.0.2:0\n"
    with temporary_file(text) as path, Server("--config", path, listen=(), journal=None) as server:
        server.output.wait("now listening from 127.0.0.2:")
        assert_limit(server, 70)


def test_every_other_source_beats_the_configuration_file():
    with temporary_file("max-line = 71\n") as path, temporary_file("CHAT_MAX_LINE=70\n") as environment_file:
        for arguments, environment in (
            (["--max-line", "70"], {}), ([], {"CHAT_MAX_LINE": "70"}), (["--env-file", environment_file], {}),
        ):
            with Server("--config", path, *arguments, environment=environment) as server:
                assert_limit(server, 70)


def test_what_is_wrong_in_a_configuration_file_is_explained():
    for text, parts in (
        ("\nmax-clients = many\n", (":2: max-clients", '"many"', "whole number from 1")),
        ("max-lines = 70\n", (":1: ", '"max-lines"', " max-line ")),
        ("max-line 70\n", (":1: ", '"max-line 70"', "NAME = VALUE")),
    ):
        with temporary_file(text) as path:
            code, _, errors = run_server("--config", path)
        assert code == 2 and all(part in errors for part in (str(path), *parts)), errors


def test_a_missing_configuration_file_is_explained():
    code, _, errors = run_server("--config", "/nowhere/at all")
    assert code == 2 and "--config" in errors and "/nowhere/at all" in errors, errors


def test_no_configuration_file_is_read_unasked():
    with temporary_file("nonsense\n") as path, Server(environment={"XDG_CONFIG_HOME": os.path.dirname(path)}) as server:
        assert_limit(server, MAX_LINE)


def test_help_comes_whatever_the_variables_and_files_say():
    code, output, _ = run_server("--help", "--config", "/nowhere", environment={"CHAT_MAX_LINE": "many"})
    assert code == 0 and "--max-line" in output, output


def test_port_0_takes_a_free_port_and_prints_it():
    with Server() as first, Server() as second:
        assert first.port != second.port and first.port > 0 and second.port > 0
        first.join("bob")
        second.join("bob")


def test_several_listeners_are_one_chat():
    with Server(listen=("127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:0")) as server:
        assert [place[0] for place in server.places] == ["127.0.0.1", "127.0.0.2", "127.0.0.1"]
        ann = server.join("ann", place=server.places[0])
        bob = server.join("bob", place=server.places[1])
        carol = server.join("carol", place=server.places[2])
        ann.expect('User "bob" just joined the chat!', 'User "carol" just joined the chat!')
        carol.say("hello from the third")
        for client in (ann, carol):
            client.expect("carol: hello from the third")
        bob.expect('User "carol" just joined the chat!', "carol: hello from the third")


def test_the_address_of_all_takes_ipv4_too():
    with Server(listen=("[::]:0",)) as server:
        server.join("bob", place=("127.0.0.1", server.port))


def test_ipv6_is_spoken():
    try:
        with socket.socket(socket.AF_INET6) as trial:
            trial.bind(("::1", 0))
    except OSError as error:
        skip(f"no IPv6 here: {error}")
    with Server(listen=("[::1]:0",)) as server:
        assert server.places[0][0] == "[::1]"
        server.join("bob", place=("::1", server.port))


def test_a_port_in_use_is_explained():
    with Server() as server:
        place = f"127.0.0.1:{server.port}"
        code, output, errors = run_server("--listen", place)
        assert code == 1, code
        assert place in errors and "--listen" in errors, errors
        assert "now listening" not in output
        server.join("bob")  # the first one is not disturbed


def test_the_second_of_two_addresses_in_use_is_explained():
    with Server() as server:
        place = f"127.0.0.1:{server.port}"
        code, _, errors = run_server("--listen", "127.0.0.1:0", "--listen", place)
        assert code == 1 and place in errors, errors


def test_an_address_that_is_not_ours_is_explained():
    code, _, errors = run_server("--listen", "192.0.2.1:7777")
    assert code not in (0, 2) and code < 128, code
    assert "192.0.2.1:7777" in errors, errors


def test_a_port_that_is_not_permitted_is_explained():
    limit = 1024
    with contextlib.suppress(OSError):
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            limit = int(file.read())
    if limit <= 1:
        skip("everybody may listen on any port here")
    command = [program("TCPSERVER"), "--listen", "127.0.0.1:1"]
    if os.geteuid() == 0:
        # Without the capability even root is nobody special; no other user might be able to read the program.
        if shutil.which("setpriv") is None:
            skip("there is no setpriv to give up rights with")
        command = ["setpriv", "--bounding-set=-net_bind_service", *command]
    done = subprocess.run(command, env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode not in (0, 2) and done.returncode < 128, (done.returncode, done.stderr)
    assert "127.0.0.1:1:" in done.stderr and "--listen" in done.stderr and "root" in done.stderr, done.stderr


def test_a_port_is_free_again_as_soon_as_the_server_has_ended():
    with Server() as server:
        port = server.port
        server.join("bob")
    with Server(listen=(f"127.0.0.1:{port}",)) as server:
        server.join("bob")


def test_the_descriptor_limit_is_raised_and_told():
    with Server(descriptors=(256, 1000)) as server:
        assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0] == 1000
        (match,) = server.log.wait(r'clients allowed="(\d+)"')
        allowed = int(match.group(1))
        assert 256 < allowed <= 1000


def test_max_clients_is_kept():
    with Server("--max-clients", "2") as server:
        ann = server.join("ann")
        bob = server.join("bob")
        third = server.connect()
        third.raw(b"carol\n")
        lines = third.rest(reset_allowed=True)  # our name may come after it has closed
        assert len(lines) == 1 and lines[0].startswith("! server-full: "), lines
        ann.expect('User "bob" just joined the chat!')
        bob.say("/quit")
        bob.expect("* Goodbye bob.")
        bob.expect_end()
        ann.expect('User "bob" just left the chat (normally)')

        def dave_gets_in():
            dave = server.connect()
            dave.say("dave")
            return dave.line().startswith("* Welcome dave - ")

        wait_for(dave_gets_in, "a place that is free again", DEADLINE)
        ann.expect('User "dave" just joined the chat!')


def test_max_per_address_is_kept():
    with Server("--max-per-address", "2") as server:
        ann = server.join("ann")
        bob = server.join("bob")
        with_third = server.connect().rest(reset_allowed=True)
        assert with_third == ["! server-full: as many clients as allowed are here from your address; try again later"], with_third
        ann.expect('User "bob" just joined the chat!')
        bob.say("/quit")
        ann.expect('User "bob" just left the chat (normally)')

        def dave_gets_in():
            dave = server.connect()
            dave.say("dave")
            return dave.line().startswith("* Welcome dave - ")

        wait_for(dave_gets_in, "a place that is free again", DEADLINE)


def test_those_without_a_name_count_as_clients():
    with Server("--max-clients", "2") as server:
        server.connect()
        server.connect()
        third = server.connect()
        lines = third.rest()
        assert len(lines) == 1 and lines[0].startswith("! server-full: "), lines


if __name__ == "__main__":
    main()
