"""The Debian packages: lintian finds nothing, everything is where it belongs, and what is in them runs."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from support import ROOT, main, skip

CONTENTS = {
    "tcpchat-server": {
        "etc/default/tcpserver",
        "lib/systemd/system/tcpserver.service",
        "lib/systemd/system/tcpserver.socket",
        "usr/bin/tcpserver",
        "usr/share/bash-completion/completions/tcpserver",
        "usr/share/doc/tcpchat-server/PROTOCOL.md.gz",
        "usr/share/doc/tcpchat-server/README.md.gz",
        "usr/share/doc/tcpchat-server/changelog.gz",
        "usr/share/doc/tcpchat-server/copyright",
        "usr/share/fish/vendor_completions.d/tcpserver.fish",
        "usr/share/man/man8/tcpserver.8.gz",
        "usr/share/zsh/vendor-completions/_tcpserver",
    },
    "tcpchat-client": {
        "usr/bin/tcpclient",
        "usr/share/bash-completion/completions/tcpclient",
        "usr/share/doc/tcpchat-client/changelog.gz",
        "usr/share/doc/tcpchat-client/copyright",
        "usr/share/fish/vendor_completions.d/tcpclient.fish",
        "usr/share/man/man1/tcpclient.1.gz",
        "usr/share/zsh/vendor-completions/_tcpclient",
    },
    "tcpchat-messageapi": {
        "etc/default/messageapi",
        "lib/systemd/system/messageapi.service",
        "usr/bin/messageapi",
        "usr/share/bash-completion/completions/messageapi",
        "usr/share/doc/tcpchat-messageapi/changelog.gz",
        "usr/share/doc/tcpchat-messageapi/copyright",
        "usr/share/fish/vendor_completions.d/messageapi.fish",
        "usr/share/man/man8/messageapi.8.gz",
        "usr/share/zsh/vendor-completions/_messageapi",
    },
}
CONFFILES = {"tcpchat-server": ["/etc/default/tcpserver"], "tcpchat-messageapi": ["/etc/default/messageapi"], "tcpchat-client": []}
PROGRAMS = ("tcpchat-server", "tcpserver"), ("tcpchat-messageapi", "messageapi"), ("tcpchat-client", "tcpclient")
# Libraries that a package must not do without: what it is for is done with them.
LIBRARIES = {"tcpchat-server": {"libpq5", "libhiredis", "librabbitmq4", "libsqlite3-0"}, "tcpchat-messageapi": {"libpq5", "librabbitmq4"},
             "tcpchat-client": {"libreadline8"}}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=options.pop("timeout", 120), **options)


def require(*programs):
    """Nothing is installed by a test; ./check does that."""
    for program, package in programs:
        if shutil.which(program) is None:
            skip(f"there is no {program}; the Debian package {package} has it")


def look(what):
    print(f"  {what}", flush=True)


def build(folder):
    done = run(ROOT / "deploy/package", folder, timeout=500, env=dict(os.environ, DEB_BUILD_OPTIONS="parallel=2"))
    assert done.returncode == 0, done.stdout[-5000:]
    return {name: only(folder.glob(f"{name}_*.deb")) for name in CONTENTS}


def only(paths):
    found = list(paths)
    assert len(found) == 1, found
    return found[0]


def lintian_is_content(folder):
    done = run("lintian", "--fail-on", "error,warning", *(["--allow-root"] if os.geteuid() == 0 else []),
               only(folder.glob("*.changes")))
    assert done.returncode == 0 and done.stdout == "", done.stdout


def contents_are_where_they_belong(packages, root):
    for name, package in packages.items():
        target = root / name
        done = run("dpkg", "-x", package, target)
        assert done.returncode == 0, done.stdout
        files = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
        files = {re.sub("^usr/lib/systemd/", "lib/systemd/", path) for path in files}  # where newer releases have units
        assert CONTENTS[name] <= files, CONTENTS[name] - files
        more = {path for path in files - CONTENTS[name] if not path.startswith("usr/share/doc/")}
        assert not more, more
        assert run("dpkg-deb", "-e", package, root / f"control-{name}").returncode == 0
        conffiles = root / f"control-{name}" / "conffiles"
        assert (conffiles.read_text().split() if conffiles.exists() else []) == CONFFILES[name], name


def libraries_come_with_them(packages):
    """What a package depends on is in the list of what the images get, too."""
    listed = re.search("^run:(.*)", (ROOT / "deploy/packages").read_text(), re.M).group(1).replace("|", " ").split()
    for name, package in packages.items():
        depends = {re.split("[ (:]", entry.strip())[0] for entry in run("dpkg-deb", "-f", package, "Depends").stdout.split(",")}
        assert depends - {"libc6"} <= set(listed), (name, depends - set(listed))
        missing = [library for library in LIBRARIES[name] if not any(entry.startswith(library) for entry in depends)]
        assert not missing, (name, missing)


def programs_run(root):
    version = re.search(r"project\(tcpchat VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    for name, program in PROGRAMS:
        done = run(root / name / "usr/bin" / program, "--version")
        assert done.stdout == f"{program} {version}\n", done.stdout
    for name, program in PROGRAMS[:2]:
        unit = only((root / name).rglob(f"{program}.service")).read_text()
        assert f"ExecStart=/usr/bin/{program}\n" in unit and f"-/etc/default/{program}\n" in unit, unit
    assert "LoadCredential=amqp-password:/etc/tcpchat/amqp-password\n" in unit, unit


def pages_render(root):
    for page in root.rglob("man?/*.gz"):
        done = run("man", "--warnings", "-l", page, env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8"))
        assert done.returncode == 0 and len(done.stdout) > 4000 and "warning" not in done.stdout[:500], done.stdout[:500]


def it_comes_and_goes(packages, root):
    """dpkg with a root of its own: the server's units are enabled, and nothing is left after a purge.

    messageapi's is not: it has to be told first where everything is.
    """
    if os.geteuid() != 0 or os.path.isdir("/run/systemd/system"):
        look("not installed: that takes root, and a machine whose systemd would not be told of it")
        return
    system = root / "system"
    (system / "var/lib/dpkg/info").mkdir(parents=True)
    (system / "var/lib/dpkg/updates").mkdir()
    (system / "var/lib/dpkg/status").touch()
    (system / "etc").mkdir()
    dpkg = ["dpkg", f"--root={system}", "--force-depends", "--force-script-chrootless", f"--log={root}/log"]
    done = run(*dpkg, "-i", *packages.values())
    assert done.returncode == 0, done.stdout
    links = {path.name for path in (system / "etc/systemd/system").rglob("*.wants/*")}
    assert links == {"tcpserver.service", "tcpserver.socket"}, links
    done = run(*dpkg, "-P", *packages)
    assert done.returncode == 0, done.stdout
    left = [path for path in system.rglob("*") if path.is_file() and "dpkg" not in str(path.relative_to(system))]
    assert not left, left


def test_the_packages_are_right():
    require(("dh", "debhelper"), ("dpkg-buildpackage", "dpkg-dev"), ("lintian", "lintian"), ("man", "man-db"))
    with tempfile.TemporaryDirectory(prefix="tcpchat-packages-") as name:
        folder = Path(name)
        look("they are built")
        packages = build(folder / "out")
        look("lintian is content")
        lintian_is_content(folder / "out")
        look("contents")
        contents_are_where_they_belong(packages, folder)
        look("their libraries come with them")
        libraries_come_with_them(packages)
        look("the programs run")
        programs_run(folder)
        look("the manual pages render")
        pages_render(folder)
        look("they can be installed and purged")
        it_comes_and_goes(packages, folder)


def test_the_versions_agree():
    version = re.search(r"project\(tcpchat VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
    assert (ROOT / "deploy/debian/changelog").read_text().startswith(f"tcpchat ({version}) ")


main(globals())
