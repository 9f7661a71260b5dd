"""Every error code of the server is provoked by some test."""

import re
from pathlib import Path

from talk import main

HERE = Path(__file__).resolve().parent


def codes():
    """The codes in the sources of the server."""
    found = set()
    for source in (HERE.parents[1] / "tcpserver").rglob("*.c"):
        text = source.read_text(encoding="utf-8")
        found |= set(re.findall(r'session_error\(\s*[^;"]*?"([a-z-]+)"', text))
        found |= set(re.findall(r'"! ([a-z-]+): ', text))
    return found


def test_every_error_code_is_provoked_by_a_conversation():
    assert len(codes()) > 20, "the codes are not found any more"
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py") if path.name != "test_errors.py")
    for code in sorted(codes()):
        assert re.search(rf'! {code}\b|"{code}"', tests), f"no conversation provokes {code}"


if __name__ == "__main__":
    main()
