"""What the tests of the scripts share: a copy of the scripts in a folder of their own, with stand-ins around it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77


def skip(reason):
    print(reason)
    sys.exit(SKIPPED)


def wait_for(condition, what, seconds=20):
    """Asks again and again until the condition holds; fails loudly if it never does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for: {what}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def variables(program, prefix):
    """The variables of the program that this variable of the environment names: one for each option that --help has."""
    if program not in os.environ:
        skip(f"{program.lower()} is not built here")
    text = subprocess.run([os.environ[program], "--help"], capture_output=True, text=True, check=True, timeout=20).stdout
    return {prefix + name.upper().replace("-", "_") for name in re.findall(r"^  --([a-z-]+)", text, re.M)}


class Checkout:
    """A folder with copies of some of the project's files, and a folder of stand-ins that comes first on PATH."""

    def __init__(self, *files):
        self.folder = Path(tempfile.mkdtemp(prefix="tcpchat-test-"))
        self.root = self.folder / "check out"  # a space, because people have such folders
        self.tools = self.folder / "tools"
        self.runtime = self.folder / "runtime"
        self.runtime.mkdir(mode=0o700)
        self.tools.mkdir()
        for name in files:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, target)
            else:
                shutil.copy(ROOT / name, target)
        self.environment = dict(
            os.environ,
            PATH=f"{self.tools}:{os.environ['PATH']}",
            XDG_RUNTIME_DIR=str(self.runtime),
            XDG_STATE_HOME=str(self.folder / "state"),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, path, text):
        """Writes an executable file; a relative path is a stand-in on PATH."""
        path = self.tools / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, *command, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        environment = dict(self.environment, **options.pop("environment", {}))
        return subprocess.run(
            [str(part) for part in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=options.pop("timeout", 60),
            **options,
        )


# A docker that only writes down what it is asked, and fails where the test wants it to. It keeps the network in mind.
DOCKER = f"""#!{sys.executable}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
command = sys.argv[1:]
with open(here / "docker.calls", "a") as calls:
    calls.write(json.dumps(command) + "\\n")
failing = os.environ.get("FAKE_FAIL")
if failing and " ".join(command).startswith(failing):
    sys.exit("the stand-in refuses" if "FAKE_CODE" not in os.environ else int(os.environ["FAKE_CODE"]))
network = here / "docker.network"
if command[:2] == ["container", "inspect"]:
    print(os.environ.get("FAKE_CONTAINER", ""))
    sys.exit("FAKE_CONTAINER" not in os.environ)
if command[:2] == ["network", "inspect"]:
    print(os.environ.get("FAKE_SUBNET") or (network.read_text() if network.exists() else ""))
    sys.exit("FAKE_SUBNET" not in os.environ and not network.exists())
if command[:2] == ["network", "create"]:
    network.write_text(command[command.index("--subnet") + 1])
    print("an id")
"""


def docker_calls(checkout, *arguments, **options):
    """Runs the dockerbuild.sh of a checkout; gives back its result and the argument lists that docker got."""
    checkout.program("docker", DOCKER)
    calls = checkout.tools / "docker.calls"
    calls.write_text("")
    result = checkout.run(checkout.root / "dockerbuild.sh", *arguments, **options)
    return result, [json.loads(line) for line in calls.read_text().splitlines()]


def main(names):
    """Runs the functions test_... of a file, or those that the command line names; the first that fails ends the run."""
    tests = {name: test for name, test in names.items() if name.startswith("test_")}
    for name in sys.argv[1:] or tests:
        print(f"- {name.removeprefix('test_').replace('_', ' ')}", flush=True)
        tests[name]()
