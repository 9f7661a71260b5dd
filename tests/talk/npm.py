"""Packages from npm, in the build folder, for tests that drive or meet programs that we did not write."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from talk import skip

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 150


def _installed(folder):
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    try:
        return all(json.loads((folder / "node_modules" / name / "package.json").read_text())["version"] == version
                   for name, version in wanted.items())
    except OSError:
        return False


def packages(source, name, what):
    """The folder with the packages of source/package.json, installed once; an npm that does not answer keeps one test waiting, not each.
    'what': which they are, in words."""
    if not shutil.which("node") or not shutil.which("npm"):
        skip("node and npm are not installed; ./check --full installs them")
    folder = Path(os.environ.get("TCPCHAT_BUILD_FOLDER", ROOT / "build")) / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.copy(source / "package.json", folder)
        failed = folder / "failed"
        if not _installed(folder):
            if failed.exists() and time.time() - failed.stat().st_mtime < 300:
                skip(failed.read_text())
            _install(folder, failed, what)
    return folder


def _install(folder, failed, what):
    command = ["npm", "install", "--no-save", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"]
    reason = f"npm could not install {what}"
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
        print(done.stdout)
    except subprocess.TimeoutExpired:
        reason = f"npm did not answer within {SECONDS} s"
    if not _installed(folder):
        failed.write_text(reason)
        skip(reason)
