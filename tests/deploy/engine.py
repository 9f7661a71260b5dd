"""A Docker engine of our own, for one test: private folders and socket, no firewall rules, no trace left.

It runs in a process and a mount namespace of its own, so that whatever it started ends with it, whatever happens to the
test. Only the bridge of the network can outlive a killed test; the next one removes it ('forget_dead_engines').
"""

import ctypes
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from support import skip, wait_for

PREFIX = "/tmp/tcpchat-engine-"
LOCK = "/run/tcpchat-engine.lock"
LOCK_SECONDS = 300
PR_SET_PDEATHSIG = 1


def output_of(*command, **options):
    options.setdefault("timeout", 60)
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        **options,
    ).stdout.strip()


def only_one():
    """The network, its addresses and the port are there once on a machine: engines of other checkouts take turns."""
    lock = open(LOCK, "w")
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > end:
                skip(f"another test with a Docker engine runs on this machine, for more than {LOCK_SECONDS} s")
            time.sleep(0.5)


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def remove_bridge(folder):
    bridge = folder / "bridge"
    if bridge.exists():
        subprocess.run(["ip", "link", "delete", bridge.read_text()], stderr=subprocess.DEVNULL, check=False)


def forget_dead_engines():
    for name in glob.glob(PREFIX + "*"):
        folder = Path(name)
        with open(folder / "alive", "a") as alive:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            remove_bridge(folder)
            shutil.rmtree(folder, ignore_errors=True)


class Engine:
    def __init__(self):
        self.require()
        forget_dead_engines()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX.rsplit("/", 1)[1], dir="/tmp"))
        self.alive = open(self.folder / "alive", "w")
        fcntl.flock(self.alive, fcntl.LOCK_EX)
        self.process = None
        self.environment = dict(
            os.environ,
            DOCKER_HOST=f"unix://{self.folder}/socket",
            DOCKER_CONFIG=str(self.folder / "config"),
        )
        self.environment.pop("DOCKER_CONTEXT", None)

    @staticmethod
    def require():
        if os.geteuid() != 0:
            skip("a Docker engine can be started by root only")
        for tool in "dockerd", "docker", "containerd", "runc", "debootstrap", "unshare", "ip":
            if not shutil.which(tool):
                skip(f"there is no {tool} here; ./check --full installs what is needed for a Docker engine")

    def __enter__(self):
        try:
            for driver in "overlay2", "vfs":
                if self.start(driver):
                    return self
            print((self.folder / "log").read_text()[-3000:])
            skip("the Docker engine does not start here; the end of its log is above")
        except BaseException:
            self.__exit__()
            raise

    def start(self, driver):
        folder = self.folder
        with open(folder / "log", "w") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
                + ["dockerd", "--host", f"unix://{folder}/socket", "--data-root", folder / "data"]
                + ["--exec-root", folder / "exec", "--pidfile", folder / "pid", "--storage-driver", driver]
                + ["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--bridge=none"]
                + ["--exec-opt", "native.cgroupdriver=cgroupfs"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ, TMPDIR=str(folder)),
                preexec_fn=die_with_parent,
            )
        for _ in range(300):
            if self.process.poll() is not None:
                return False
            if self.try_docker("version").returncode == 0:
                return True
            time.sleep(0.1)
        self.stop()
        return False

    def try_docker(self, *arguments):
        return subprocess.run(
            ["docker", *map(str, arguments)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def docker(self, *arguments):
        result = self.try_docker(*arguments)
        assert result.returncode == 0, (arguments, result.stdout)
        return result.stdout.strip()

    def remember_bridge(self, network):
        """The bridge of a network, so that it can be removed even when the engine no longer can."""
        identity = self.docker("network", "inspect", "--format", "{{.Id}}", network)
        (self.folder / "bridge").write_text(f"br-{identity[:12]}")

    def stop(self):
        """Asks the engine to end; what does not end within 20 s is killed with everything in its namespace."""
        if self.process is None or self.process.poll() is not None:
            return
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            containers = self.try_docker("ps", "--all", "--quiet").stdout.split()
            if containers:
                self.try_docker("rm", "--force", *containers)
            self.try_docker("network", "rm", "goTCPnet")
        self.stop()
        remove_bridge(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.alive.close()


def apt_source():
    """The mirror, the release and the components of this machine's own system, from its apt configuration."""
    with open("/etc/os-release") as file:
        release = re.search(r"^VERSION_CODENAME=(\S+)", file.read(), re.M)[1]
    for name in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        if not os.path.exists(name):
            continue
        text = Path(name).read_text()
        for line in re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(.*)", text, re.M):
            mirror, suite, *components = line.split()
            if suite == release and "main" in components:
                return mirror, release
        for stanza in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*)", stanza, re.M))
            if "deb" in fields.get("Types", "").split() and release in fields.get("Suites", "").split():
                return fields["URIs"].split()[0], release
    skip("the apt configuration of this machine names no mirror of its own release")


def make_base(target):
    """
    Writes the tar file of a small system like the base image's: what debootstrap makes, without documentation. It gets this
    machine's apt settings, because packages are installed in it.
    """
    mirror, release = apt_source()
    with tempfile.TemporaryDirectory(prefix="tcpchat-base-") as folder:
        try:
            output_of("debootstrap", "--variant=minbase", *(["--include=ca-certificates"] * mirror.startswith("https")),
                      release, folder, mirror, timeout=240)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print((error.output or "")[-3000:])
            skip("debootstrap could not make a base image; what it said is above")
        settings = output_of("apt-config", "dump").splitlines()
        (Path(folder) / "etc/apt/apt.conf.d/90host").write_text(
            "\n".join(line for line in settings if re.match(r"Acquire::(https?|Check|Retries|ForceIPv)", line)) + "\n"
        )
        for pattern in "var/cache/apt/*", "var/lib/apt/lists/*", "var/log/*", "usr/share/doc/*", "usr/share/man/*", \
                "usr/share/locale/*", "usr/share/info/*":
            for path in glob.glob(f"{folder}/{pattern}"):
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        output_of("tar", "--one-file-system", "-C", folder, "-cf", f"{target}.part", ".")
    os.rename(f"{target}.part", target)


def base_image(build_folder):
    """A base image's tar file; one of less than a day is used again."""
    target = Path(build_folder) / "deploy-base.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or time.time() - target.stat().st_mtime > 24 * 3600:
        make_base(target)
    return target


__all__ = ["Engine", "base_image", "wait_for"]
