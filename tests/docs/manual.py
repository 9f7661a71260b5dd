"""
The commands in the manual page of the server, which are made from the table that makes /help, too:

        cmake --build --preset dev --target update-man
"""

import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "man" / "tcpserver.8"
BEGIN = '.\\" Begin of what "cmake --build --preset dev --target update-man" makes from common/verbs.h.\n'
END = '.\\" End of it.\n'


def made(generator):
    """The part of the page as the table makes it."""
    return subprocess.run([generator], capture_output=True, check=True).stdout.decode()


def split(page):
    """What stands before that part, it, and what stands behind it."""
    before, rest = page.split(BEGIN)
    part, after = rest.split(END)
    return before, part, after


if __name__ == "__main__":
    text_before, _, text_after = split(PAGE.read_bytes().decode())
    PAGE.write_bytes((text_before + BEGIN + made(sys.argv[1]) + END + text_after).encode())
