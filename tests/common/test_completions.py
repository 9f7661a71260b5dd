"""The completions that the programs print: what the shells themselves make of them."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "talk"))

from talk import DEADLINE, clean_environment, empty_folder, main, program, skip  # noqa: E402

PROGRAMS = ("tcpclient", "tcpserver")


def completions(name, shell):
    done = subprocess.run([program(name.upper()), "--completions", shell], capture_output=True, text=True, check=False,
                          env=clean_environment({"CHAT_CONFIG": "/nowhere"}))
    assert done.returncode == 0 and done.stdout and not done.stderr, (done.returncode, done.stderr)
    return done.stdout


def options(name):
    """The options of the help and its first line, each as it is written there."""
    text = subprocess.run([program(name.upper()), "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  (--?[a-z-]+)", text, re.MULTILINE)) | set(re.findall(r"--[a-z-]+", text.splitlines()[0]))


def shell_or_skip(shell):
    if shutil.which(shell) is None:
        skip(f"there is no {shell}")


def run(shell, script, *arguments):
    environment = clean_environment({"HOME": empty_folder(), "LC_ALL": "C.UTF-8"})
    done = subprocess.run([shell, *arguments, "-c", script], capture_output=True, text=True, check=False, env=environment,
                          timeout=DEADLINE)
    assert done.returncode == 0 and not done.stderr, (script, done.returncode, done.stderr)
    return done.stdout.splitlines()


def bash(name, *words):
    """What bash offers for the last of the words."""
    script = completions(name, "bash") + "\nCOMP_WORDS=(" + " ".join(f"'{word}'" for word in (name, *words)) + ")"
    script += f'\nCOMP_CWORD={len(words)}\nset -u\n_{name}\n((${{#COMPREPLY[@]}} == 0)) || printf "%s\\n" "${{COMPREPLY[@]}}"'
    return run("bash", script, "--norc", "--noprofile")


def fish(name, line):
    """What fish offers at the end of the line, without what explains it."""
    with tempfile.NamedTemporaryFile("w", suffix=".fish") as file:
        file.write(completions(name, "fish"))
        file.flush()
        return [word.split("\t")[0] for word in run("fish", f"source {file.name}; complete -C '{line}'", "--no-config")]


def test_bash_completes_each_option_of_the_help():
    for name in PROGRAMS:
        assert set(bash(name, "-")) == options(name), set(bash(name, "-")) ^ options(name)
        assert "--completions" not in bash(name, "--")
    assert bash("tcpclient", "--us") == ["--username"]
    assert bash("tcpclient", "-us") == ["-username"]
    assert bash("tcpserver", "--max-l") == ["--max-line"]
    assert bash("tcpserver", "--nonsense") == []


def test_bash_completes_choices():
    assert bash("tcpclient", "--color", "") == ["auto", "always", "never"]
    assert bash("tcpclient", "-color", "n") == ["never"]
    assert bash("tcpclient", "--username", "ann", "--theme", "=", "l") == ["light"]
    assert bash("tcpclient", "--theme", "=") == ["auto", "light", "dark", "mono"]
    assert bash("tcpclient", "--theme=m") == ["--theme=mono"]  # where COMP_WORDBREAKS has no '='
    assert bash("tcpserver", "--log-format", "j") == ["json"]
    assert bash("tcpclient", "--color", "x") == []
    assert bash("tcpclient", "--username", "") == []  # nobody knows


def test_bash_completes_files_and_hosts():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a file")
        with open(path, "w", encoding="utf-8"):
            pass
        for option in ("--config", "--env-file"):
            for name in PROGRAMS:
                assert bash(name, option, os.path.join(folder, "a")) == [path]
        assert bash("tcpserver", "--admin-password-file", os.path.join(folder, "a")) == [path]
        assert bash("tcpclient", f"--config={folder}/a") == [f"--config={path}"]
    assert "localhost" in bash("tcpclient", "localh")
    assert bash("tcpserver", "localh") == []


def test_bash_finds_the_function_by_itself():
    for name in PROGRAMS:
        assert run("bash", completions(name, "bash") + f"\ncomplete -p {name}", "--norc") == [f"complete -F _{name} {name}"]


def test_fish_completes_options_choices_and_files():
    shell_or_skip("fish")
    for name in PROGRAMS:
        known = fish(name, f"{name} -")
        assert set(known) == options(name), set(known) ^ options(name)
    assert fish("tcpclient", "tcpclient --color n") == ["never"]
    assert set(fish("tcpclient", "tcpclient --theme ")) == {"auto", "light", "dark", "mono"}
    assert fish("tcpserver", "tcpserver --log-format=j") == ["--log-format=json"]
    assert fish("tcpclient", "tcpclient --username ") == []
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "file"), "w", encoding="utf-8"):
            pass
        assert fish("tcpclient", f"tcpclient --config {folder}/f") == [f"{folder}/file"]
        assert fish("tcpserver", f"tcpserver {folder}/f") == []


def test_zsh_takes_the_scripts():
    shell_or_skip("zsh")
    for name in PROGRAMS:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(completions(name, "zsh"))
            file.flush()
            assert completions(name, "zsh").startswith(f"#compdef {name}\n")
            assert run("zsh", f"zsh -n {file.name}", "-f") == []


def zsh(folder, line, expected):
    """Types a line and Tab into zsh, on a terminal of its own; waits until it shows what is expected."""
    process, terminal = pty.fork()
    if process == 0:
        environment = clean_environment({"HOME": folder, "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "ready> "})
        os.chdir(folder)
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    shown = ""
    steps = [("ready> ", f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -D; unsetopt zle_bracketed_paste; "
              "PS1='go''> '\n"),
             ("go> ", line + "\t"), (expected, None)]
    deadline = time.monotonic() + DEADLINE
    try:
        while steps:
            assert time.monotonic() < deadline, f"no {steps[0][0]!r} in {shown!r}"
            if select.select([terminal], [], [], 0.5)[0]:
                shown += os.read(terminal, 4096).decode(errors="replace")
            if steps[0][0] in shown:
                shown = shown[shown.index(steps[0][0]) + len(steps[0][0]):]
                _, text = steps.pop(0)
                if text is not None:
                    os.write(terminal, text.encode())
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def test_zsh_completes_options_and_choices():
    shell_or_skip("zsh")
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            with open(os.path.join(folder, "_" + name), "w", encoding="utf-8") as file:
                file.write(completions(name, "zsh"))
        zsh(folder, "tcpclient --usern", "tcpclient --username")
        zsh(folder, "tcpclient --color=al", "tcpclient --color=always")
        zsh(folder, "tcpclient --theme m", "tcpclient --theme mono")
        zsh(folder, "tcpserver --log-format j", "tcpserver --log-format json")
        zsh(folder, "tcpserver --config ./_tcpc", "tcpserver --config ./_tcpclient")


def test_an_unknown_shell_is_told():
    for name in PROGRAMS:
        done = subprocess.run([program(name.upper()), "--completions", "csh"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and not done.stdout and "one of: bash, zsh, fish" in done.stderr, done.stderr


if __name__ == "__main__":
    main()
