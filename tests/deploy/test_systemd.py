"""The units of systemd: systemd itself finds nothing wrong with them, they give the server no right that it does not need."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from support import ROOT, main, skip, variables

FOLDER = ROOT / "deploy/systemd"
SERVER = os.environ["TCPSERVER"]
MOST_EXPOSED = 15  # tenths; 100 is a service without any protection


class Units:
    """The units as an installation has them, with a manual beside them."""

    def __enter__(self):
        if shutil.which("systemd-analyze") is None:
            skip("there is no systemd-analyze; the Debian package systemd has it")
        self.folder = tempfile.TemporaryDirectory(prefix="tcpchat-units-")
        path = Path(self.folder.name)
        pages = path / "man/man8"
        pages.mkdir(parents=True)
        for page in "tcpserver.8", "messageapi.8":
            shutil.copy(ROOT / "docs/man" / page, pages)
        for template in FOLDER.glob("*.in"):
            text = template.read_text().replace("@CMAKE_INSTALL_FULL_SYSCONFDIR@", "/etc")
            (path / template.stem).write_text(re.sub(r"@CMAKE_INSTALL_FULL_BINDIR@/\w+", SERVER, text))
        self.paths = sorted(path.glob("*.s*"))
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def analyze(self, *arguments):
        environment = dict(os.environ, MANPATH=f"{self.folder.name}/man", SYSTEMD_PAGER="")
        done = subprocess.run(["systemd-analyze", *map(str, arguments)], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout


def settings(name):
    return re.findall(r"^(\w+)=(.*)$", (FOLDER / name).read_text(), re.M)


def test_systemd_finds_nothing_wrong():
    with Units() as units:
        assert len(units.paths) == 3, units.paths
        code, output = units.analyze("verify", *units.paths)
        assert code == 0 and output == "", output
        wrong = units.paths[0].with_name("wrong.service")
        wrong.write_text(units.paths[1].read_text().replace("[Service]", "[Service]\nNoSuchSetting=1"))
        assert "NoSuchSetting" in units.analyze("verify", wrong)[1], "systemd-analyze notices nothing"


def test_services_are_hardly_exposed():
    with Units() as units:
        for path in units.paths:
            if path.suffix == ".service":
                code, output = units.analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", path)
                assert code == 0, output
        bare = path.with_name("bare.service")
        bare.write_text("[Service]\nExecStart=/bin/true\n")
        code, output = units.analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", bare)
        assert code != 0, "systemd-analyze lets everything pass"


def test_there_is_a_thread_for_each_descriptor():
    found = dict(settings("tcpserver.service.in"))
    assert int(found["TasksMax"]) >= int(found["LimitNOFILE"]), found
    assert found["Type"] == "notify" and int(found["WatchdogSec"]) > 0, found


def test_the_variables_of_the_default_files_exist():
    for name, allowed in ("tcpserver.default", variables("TCPSERVER", "CHAT_")), \
                         ("messageapi.default", variables("MESSAGEAPI", "MESSAGEAPI_")):
        named = set(re.findall(r"^#?([A-Z_]+)=", (FOLDER / name).read_text(), re.M))
        assert named and named <= allowed, named - allowed


def test_the_default_file_is_what_the_server_takes():
    text = (FOLDER / "tcpserver.default").read_text()
    variables = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text, re.M))
    del variables["CHAT_ADMIN_PASSWORD_FILE"]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([SERVER, "--listen", "127.0.0.1:0", "--check", f"{folder}/none.db"], env=dict(variables), cwd=folder,
                              capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done  # 2 is a wrong option


@contextlib.contextmanager
def service_manager(folder):
    """A socket that is told how a service is, and the folder with credentials that systemd shows by an ACL: the mode has its mask."""
    credentials = folder / "credentials"
    credentials.mkdir()
    for name in "amqp-password", "postgres-password":
        (credentials / name).write_text("of nobody else\n")
        (credentials / name).chmod(0o440)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify"))
        told.settimeout(20)
        yield told, {"NOTIFY_SOCKET": str(folder / "notify"), "CREDENTIALS_DIRECTORY": str(credentials)}


def test_messageapi_is_the_service_that_its_unit_describes():
    if "MESSAGEAPI" not in os.environ:
        skip("messageapi is not built here")
    assert dict(settings("messageapi.service.in"))["Type"] == "notify"
    given = dict(re.findall(r"^Environment=(\w+)=(.*)$", (FOLDER / "messageapi.service.in").read_text(), re.M))
    given |= {"MESSAGEAPI_LISTEN": "127.0.0.1:0", "MESSAGEAPI_AMQP": "amqp://tcpchat@127.0.0.1:1",
              "MESSAGEAPI_POSTGRES": "postgres://tcpchat@127.0.0.1:1/tcpchat"}  # nobody listens there
    with tempfile.TemporaryDirectory() as name, service_manager(Path(name)) as (told, environment):
        environment |= {variable: value.replace("%d", environment["CREDENTIALS_DIRECTORY"]) for variable, value in given.items()}
        with subprocess.Popen([os.environ["MESSAGEAPI"]], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
            try:
                assert told.recv(100) == b"READY=1"  # without broker and database, for which it waits
                service.terminate()
                assert told.recv(100) == b"STOPPING=1"
                assert service.wait(20) == 0
            finally:
                service.kill()
        del environment["CREDENTIALS_DIRECTORY"]
        done = subprocess.run([os.environ["MESSAGEAPI"]], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=20, check=False)
        assert done.returncode == 1 and "others may read" in done.stderr, done


def test_the_server_reads_credentials_of_systemd():
    with tempfile.TemporaryDirectory() as name, service_manager(Path(name)) as (told, environment):
        path = f"{environment['CREDENTIALS_DIRECTORY']}/amqp-password"
        command = [SERVER, "--listen", "127.0.0.1:0", "--journal", "memory", "--admin-password-file", path]
        with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as service:
            try:
                assert b"READY=1" in told.recv(1000)
                service.terminate()
                assert service.wait(20) == 0
            finally:
                service.kill()
        del environment["CREDENTIALS_DIRECTORY"]
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 1 and "others may read" in done.stderr, done


main(globals())
