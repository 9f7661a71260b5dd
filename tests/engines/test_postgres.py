"""PostgreSQL as an engine: the contract, and what is PostgreSQL's own."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "talk"))
import talk  # noqa: E402

from postgres import Postgres, Skip, run_with  # noqa: E402


def database(**options):
    try:
        return Postgres(**options)
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


def contract(*sentences, url=None, environment=None):
    """Runs sentences of the contract. Returns status and what was printed."""
    settings = {**os.environ, **(environment or {})}
    if url is not None:
        settings["TEST_ENGINE_URL"] = url
    done = subprocess.run([talk.program("ENGINE_CONTRACT"), *sentences], env=settings, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout.decode(errors="replace")


def test_the_contract_is_kept():
    try:
        assert run_with([talk.program("ENGINE_CONTRACT")]) == 0
    except Skip as reason:
        raise talk.Skip(str(reason)) from None


if __name__ == "__main__":
    talk.main(600)
