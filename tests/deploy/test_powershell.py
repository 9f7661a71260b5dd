"""dockerbuild.ps1 is PowerShell, and runs the docker commands that dockerbuild.sh really makes."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from support import ROOT, Checkout, docker_calls, main, skip

HERE = Path(__file__).resolve().parent
NPM_SECONDS = 150


def parser():
    """The folder with the parser, installed into the build folder once; skips where it cannot be had."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are not installed; ./check --full installs them")
    folder = Path(os.environ.get("TCPCHAT_BUILD_FOLDER", ROOT / "build")) / "deploy-npm"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in "package.json", "parse_powershell.js":
            shutil.copy(HERE / name, folder)
        if not installed(folder):
            skip_what_failed_lately(folder)
            install(folder)
    return folder


def skip_what_failed_lately(folder):
    """An npm that does not answer keeps one test waiting, not each of them."""
    failed = folder / "failed"
    if failed.exists() and time.time() - failed.stat().st_mtime < 300:
        skip(failed.read_text())


def give_up(folder, reason):
    (folder / "failed").write_text(reason)
    skip(reason)


def installed(folder):
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    try:
        return all(
            json.loads((folder / "node_modules" / name / "package.json").read_text())["version"] == version
            for name, version in wanted.items()
        )
    except OSError:
        return False


def install(folder):
    try:
        result = subprocess.run(
            ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=NPM_SECONDS,
        )
    except subprocess.TimeoutExpired:
        give_up(folder, f"npm did not answer within {NPM_SECONDS} s")
    if result.returncode != 0 or not installed(folder):
        print(result.stdout)
        give_up(folder, "npm could not install the parser")


def parse(path):
    folder = parser()
    # The grammar is one huge function: V8's optimiser takes a minute for it, running it as it is takes no time.
    output = subprocess.run(
        ["node", "--liftoff-only", folder / "parse_powershell.js", path],
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    return json.loads(output)


def test_the_parser_sees_errors():
    with Checkout("dockerbuild.ps1") as here:
        script = here.root / "dockerbuild.ps1"
        text = script.read_text()
        script.write_text(text[: text.rindex("}")])
        assert parse(script)["errors"], "a script that lacks its last brace"


def test_the_script_is_powershell():
    assert parse(ROOT / "dockerbuild.ps1")["errors"] == []


def powershell_commands():
    """The argument lists as they are written, without redirections."""
    return [
        [argument for argument in command if not argument.startswith("2>")]
        for command in parse(ROOT / "dockerbuild.ps1")["commands"]
    ]


def shell_commands(here, *arguments):
    """What dockerbuild.sh really asks of docker, with the words that change from run to run as the other script names them."""

    def placeholder(word, target, name):
        if word.startswith("gotcpclient" + name):
            return "$Container"
        return {target: "$Target", f"gotcp{target}": "gotcp$Target", name: "$Name", "--extra": "@BuildArguments"}.get(
            word, word.replace(str(here.root), "$Root")
        )

    target, name = arguments[0], (*arguments, "nobody")[1]
    _, calls = docker_calls(here, *arguments, environment={"DOCKER_BUILD_ARGS": "--extra"})
    return [
        [placeholder(word, target if call[0] == "build" else None, name) for word in call]
        for call in calls
    ]


def test_both_scripts_run_the_same_docker_commands():
    with Checkout("dockerbuild.sh", "deploy") as here:
        wanted = shell_commands(here, "server") + shell_commands(here, "client", "bob")
    found = powershell_commands()
    assert len(wanted) >= 9 and len(found) == 7, (len(wanted), len(found))
    for command in wanted:
        assert command in found, f"only dockerbuild.sh runs: docker {' '.join(command)}\nthe other one has: {found}"
    for command in found:
        assert command in wanted, f"only dockerbuild.ps1 runs: docker {' '.join(command)}"


main(globals())
