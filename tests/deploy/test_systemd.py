"""The units of systemd: systemd itself finds nothing wrong with them, they give the server no right that it does not need."""

import os
import re
import shutil
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


main(globals())
