"""dockerbuild.sh against a stand-in for docker that records what it is asked."""

import os
import re

from support import Checkout, docker_calls, main

VERSION = ["version", "--format", "{{.Server.Version}}"]
INSPECT_SERVER = ["container", "inspect", "--format", "{{.State.Status}}", "gotcpserver"]
INSPECT_NETWORK = ["network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}", "goTCPnet"]
CREATE_NETWORK = ["network", "create", "--subnet", "192.168.111.0/24", "goTCPnet"]
RUN_SERVER = (
    "run --rm --name gotcpserver --network goTCPnet --ip 192.168.111.111 -p 7777:7777"
    " --read-only --cap-drop ALL --volume gotcpdata:/var/lib/tcpchat gotcpserver"
).split()


def checkout():
    return Checkout("dockerbuild.sh", "deploy")


def build(here, target, *arguments):
    root = str(here.root)
    return ["build", *arguments, "--file", f"{root}/deploy/Dockerfile", "--target", target, "--tag", f"gotcp{target}", root]


def test_the_server_is_built_and_run_in_its_network():
    with checkout() as here:
        result, calls = docker_calls(here, "server")
        assert result.returncode == 0, result
        assert calls == [VERSION, INSPECT_SERVER, INSPECT_NETWORK, CREATE_NETWORK, build(here, "server"), RUN_SERVER], calls


def test_a_second_run_finds_the_network():
    with checkout() as here:
        docker_calls(here, "server")
        result, calls = docker_calls(here, "server")
        assert result.returncode == 0, result
        assert calls == [VERSION, INSPECT_SERVER, INSPECT_NETWORK, build(here, "server"), RUN_SERVER], calls


def test_a_client_runs_under_its_name():
    with checkout() as here:
        result, calls = docker_calls(here, "client", "bob")
        assert result.returncode == 0 and result.stdout == "You're now @bob\n", result
        assert calls[:4] == [VERSION, INSPECT_NETWORK, CREATE_NETWORK, build(here, "client")], calls
        container = calls[4][3]
        assert re.fullmatch("gotcpclientbob[0-9a-f]{6}", container), container
        assert calls[4] == (
            f"run --rm --name {container} --network goTCPnet --interactive --tty"
            " --read-only --cap-drop ALL gotcpclient tcpclient -username bob 192.168.111.111"
        ).split(), calls


def test_two_clients_of_one_name_get_two_containers():
    with checkout() as here:
        names = {docker_calls(here, "client", "bob")[1][-1][3] for _ in range(3)}
        assert len(names) == 3, names


def test_a_name_is_asked_for():
    with checkout() as here:
        result, calls = docker_calls(here, "client", input="Johnny Boi\n")
        assert result.returncode == 0, result
        assert result.stdout == "Enter USERNAME: You're now @Johnny Boi\n", result
        assert calls[-1][-4:] == ["tcpclient", "-username", "Johnny Boi", "192.168.111.111"], calls


def test_no_name_no_client():
    with checkout() as here:
        for text in "", "\n":
            result, calls = docker_calls(here, "client", input=text)
            assert result.returncode == 2 and "needs a name" in result.stdout, result
            assert calls == [VERSION], calls


def test_a_container_name_is_made_of_what_docker_allows():
    with checkout() as here:
        for name in "Johnny Boi", "Zoë#1", "名前", "a/b;c $(d) 'e'":
            result, calls = docker_calls(here, "client", name)
            assert result.returncode == 0, result
            assert re.fullmatch("gotcpclient[a-zA-Z0-9_.-]+", calls[-1][3]), calls
            assert name in calls[-1], calls


def test_extra_build_arguments_come_from_the_environment():
    with checkout() as here:
        _, calls = docker_calls(here, "server", environment={"DOCKER_BUILD_ARGS": " --network=host  --pull "})
        assert build(here, "server", "--network=host", "--pull") in calls, calls


def test_a_busy_name_is_explained():
    with checkout() as here:
        result, calls = docker_calls(here, "server", environment={"FAKE_CONTAINER": "running"})
        assert result.returncode == 1, result
        assert "container named gotcpserver already (running)" in result.stdout, result
        assert "docker stop gotcpserver" in result.stdout, result
        assert calls == [VERSION, INSPECT_SERVER], calls


def test_a_network_with_another_subnet_is_explained():
    with checkout() as here:
        result, calls = docker_calls(here, "server", environment={"FAKE_SUBNET": "10.9.0.0/24"})
        assert result.returncode == 1, result
        assert "has the subnet 10.9.0.0/24, but 192.168.111.0/24 is needed" in result.stdout, result
        assert calls[-1] == INSPECT_NETWORK, calls


def test_a_busy_subnet_is_explained():
    with checkout() as here:
        result, calls = docker_calls(here, "server", environment={"FAKE_FAIL": "network create"})
        assert result.returncode == 1, result
        assert "the stand-in refuses" in result.stdout and "another network uses 192.168.111.0/24" in result.stdout, result
        assert calls[-1] == CREATE_NETWORK, calls


def test_a_failed_build_is_explained():
    with checkout() as here:
        result, calls = docker_calls(here, "client", "bob", environment={"FAKE_FAIL": "build"})
        assert result.returncode == 1 and "DOCKER_BUILD_ARGS=--network=host" in result.stdout, result
        assert calls[-1] == build(here, "client"), calls


def test_a_busy_port_is_explained():
    with checkout() as here:
        result, _ = docker_calls(here, "server", environment={"FAKE_FAIL": "run", "FAKE_CODE": "125"})
        assert result.returncode == 1 and "another program uses 7777" in result.stdout, result


def test_the_exit_code_of_the_program_is_passed_on():
    with checkout() as here:
        for what in ["server"], ["client", "bob"]:
            result, _ = docker_calls(here, *what, environment={"FAKE_FAIL": "run", "FAKE_CODE": "3"})
            assert result.returncode == 3, result


def test_no_docker_and_no_engine_are_explained():
    with checkout() as here:
        result, calls = docker_calls(here, "server", environment={"FAKE_FAIL": "version"})
        assert result.returncode == 1 and "does not reach its engine" in result.stdout, result
        assert calls == [VERSION], calls
    with checkout() as here:
        bare = here.folder / "bare"
        bare.mkdir()
        for tool in "bash", "dirname":
            os.symlink(f"/usr/bin/{tool}", bare / tool)
        result = here.run(here.root / "dockerbuild.sh", "server", environment={"PATH": str(bare)})
        assert result.returncode == 1 and "there is no docker command here" in result.stdout, result


def test_wrong_arguments_end_with_2():
    with checkout() as here:
        for arguments in [], ["sever"], ["server", "x"], ["client", "Johnny", "Boi"], ["--nope"]:
            result, calls = docker_calls(here, *arguments)
            assert result.returncode == 2 and "--help" in result.stdout, result
            assert calls == [], calls
        result, calls = docker_calls(here, "--help")
        assert result.returncode == 0 and "Usage: ./dockerbuild.sh" in result.stdout and calls == [], result


main(globals())
