"""A real systemd starts the server with its units, watches it, and starts it anew, in a container made of this machine's own files."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import main, skip

# In a mount name space of its own: this machine's files, under a layer that takes what is written and goes with the test.
OUTSIDE = r"""
set -eu
mount -t tmpfs tmpfs "$FOLDER" && mkdir "$FOLDER/upper" "$FOLDER/work" "$FOLDER/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$FOLDER/upper,workdir=$FOLDER/work" "$FOLDER/root" || exit 77
cd "$FOLDER/root"
rm -rf etc/systemd/system/*.wants etc/machine-id
: > etc/machine-id
DESTDIR=$PWD cmake --install "$BUILD" > /dev/null
mkdir -p etc/systemd/system/tcpserver.service.d
options=$(sed -n 's|^EnvironmentFile=-/||p' "${PREFIX#/}/lib/systemd/system/tcpserver.service")
mkdir -p "${options%/*}"
echo 'CHAT_LOG_FORMAT=json' > "$options"
store=${PREFIX#/}/lib/systemd/system/messageapi.service
if [ -e "$store" ]; then
    options=$(sed -n 's|^EnvironmentFile=-/||p' "$store")
    printf 'MESSAGEAPI_AMQP=amqp://tcpchat@localhost\nMESSAGEAPI_POSTGRES=postgres://tcpchat@localhost/tcpchat\n' > "$options"
    sed -n 's|^LoadCredential=[a-z-]*:/||p' "$store" | while read -r password; do
        mkdir -p "${password%/*}"
        (umask 077; echo secret > "$password")
    done
fi
printf '[Service]\nWatchdogSec=2\n' > etc/systemd/system/tcpserver.service.d/trial.conf
printf '%s' "$INSIDE" > trial.sh
printf '[Service]\nExecStart=/bin/bash /trial.sh\n' > etc/systemd/system/trial.service
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=trial.service tcpserver.socket\n' > etc/systemd/system/trial.target
keep=--keep-unit
[ ! -d /run/systemd/system ] || keep=
systemd-nspawn --register=no $keep --private-network --quiet -D "$PWD" -b systemd.unit=trial.target < /dev/null >&2 || :
cat result
"""

# What is looked at, in the container; a NAME=VALUE line each.
INSIDE = r"""
exec > /result 2> /trial.log
say() { printf '%s\n' "$@" | timeout 60 nc -N localhost 7777 | tr '\n' '|'; }
systemctl start tcpserver.socket
echo "before=$(systemctl is-active tcpserver.service)"
echo "first=$(say ann hello)"
echo "active=$(systemctl is-active tcpserver.service)"
echo "status=$(systemctl show -P StatusText tcpserver.service)"
process=$(systemctl show -P MainPID tcpserver.service)
echo "capabilities=$(sed -n 's/^CapEff:\t*//p' /proc/$process/status)"
echo "filters=$(sed -n 's/^Seccomp:\t*//p' /proc/$process/status)"
echo "user=$(stat -c %U /var/lib/private/tcpchat/chat.db) $(stat -c %a /var/lib/private/tcpchat)"
systemctl reload tcpserver.service
echo "reload=$? $(systemctl is-active tcpserver.service) $([ $process = "$(systemctl show -P MainPID tcpserver.service)" ] && echo same)"
systemctl restart tcpserver.service &
echo "restart=$(say bob)"
wait
process=$(systemctl show -P MainPID tcpserver.service)
kill -STOP $process
echo "hung=$(say cat)"
echo "restarts=$(systemctl show -P NRestarts tcpserver.service)"
systemctl stop tcpserver.socket tcpserver.service
echo "stop=$? $(systemctl show -P Result tcpserver.service)"
systemctl start messageapi.service
echo "store=$? $(systemctl is-active messageapi.service)"
echo "storekeeper=$(ps -o user= -p "$(systemctl show -P MainPID messageapi.service)")"
systemctl stop messageapi.service
echo "unstored=$? $(systemctl show -P Result messageapi.service)"
journalctl --sync
echo "logged=$(journalctl -o cat -u tcpserver.service | grep -c '"event"')"
systemctl poweroff
"""


def boot(build):
    with tempfile.TemporaryDirectory(prefix="tcpchat-boot-") as folder:
        (Path(folder) / "layer").mkdir()
        cache = (Path(build) / "CMakeCache.txt").read_text()
        prefix = re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", cache, re.M).group(1)
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "bash", "-c", OUTSIDE],
                              env=dict(os.environ, FOLDER=f"{folder}/layer", BUILD=build, INSIDE=INSIDE, PREFIX=prefix),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, check=False)
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if "before" not in found:
        skip(f"no container with a systemd of its own can be started here: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return found


def test_systemd_starts_and_watches_the_server():
    for program, package in ("systemd-nspawn", "systemd-container"), ("nc", "netcat-openbsd"):
        if shutil.which(program) is None:
            skip(f"there is no {program}; the Debian package {package} has it")
    if os.geteuid() != 0:
        skip("only root can start a container")
    found = boot(os.environ["TCPCHAT_BUILD_FOLDER"])
    print(found)
    assert found["before"] == "inactive", "the socket alone was to be there"
    assert "Welcome ann" in found["first"] and "ann: hello" in found["first"], "who connects starts the server"
    assert found["active"] == "active" and "connected; ready" in found["status"]
    assert int(found["capabilities"], 16) == 0 and found["filters"] == "2"
    assert found["user"].endswith(" 700") and not found["user"].startswith("root")
    assert found["reload"] == "0 active same"
    assert "Welcome bob" in found["restart"] and "ann: hello" in found["restart"], "who comes during a restart waits"
    assert "Welcome cat" in found["hung"], "the watchdog ends a server that hangs, and who has come meanwhile is served"
    assert found["restarts"] == "1"
    assert found["stop"] == "0 success"
    if "MESSAGEAPI" in os.environ:  # it waits for broker and database, which are not there
        assert found["store"] == "0 active" and found["storekeeper"] not in ("", "root")
        assert found["unstored"] == "0 success"
    assert int(found["logged"]) > 5, "the default file was not read, or the log is not JSON"


main(globals())
