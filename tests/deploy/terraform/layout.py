"""How 'terraform fmt' lays out what we write: a part of its rules, for where there is no terraform."""

import re

ATTRIBUTE = re.compile(r'^( *)([\w"-]+)( *)=( *)(?=[^=> ])')


def bare(line):
    """The line without its comment, strings emptied: what is left has only the brackets that count."""
    line = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
    return re.split(r"#|//", line)[0].rstrip()


def _depths(lines):
    """For each line: how deep it has to be indented, and whether its brackets are all closed."""
    depth = 0
    stack = []
    for line in lines:
        code = bare(line)
        opened, closed, leading = 0, 0, True
        for sign in code.strip():
            if sign in "([{":
                opened += 1
                leading = False
            elif sign in ")]}":
                if opened:
                    opened -= 1
                else:
                    closed += 1
                    if leading:
                        depth -= stack.pop() if stack else 0
                        closed -= 1
            else:
                leading = False
        yield max(depth, 0), opened == 0 and closed == 0
        for _ in range(closed):
            depth -= stack.pop() if stack else 0
        # However many brackets a line opens, the next one is one step deeper, until the last of them is closed.
        for number in range(opened):
            step = 1 if number == opened - 1 else 0
            stack.append(step)
            depth += step


def problems(name, text):
    """What in a file is not as 'terraform fmt' would have it."""
    found = []
    lines = text.split("\n")
    group = []
    if not text.endswith("\n") or text.endswith("\n\n"):
        found.append(f"{name}: does not end with one end of line")
    for number, ((depth, complete), line) in enumerate(zip(_depths(lines), lines), 1):
        if "\t" in line or line != line.rstrip():
            found.append(f"{name}:{number}: a tab, or spaces at the end")
        if line and len(line) - len(line.lstrip(" ")) != 2 * depth:
            found.append(f"{name}:{number}: not indented by {2 * depth}: {line}")
        match = ATTRIBUTE.match(line)
        if match and complete:
            group.append((number, match))
        else:
            found += _misaligned(name, group)
            group = []
            if match and (match.group(3), match.group(4)) != (" ", " "):
                found.append(f"{name}:{number}: no single spaces around =")
    return found + list(_misaligned(name, group))


def _misaligned(name, group):
    column = max((len(match.group(2)) for _, match in group), default=0) + 1
    for number, match in group:
        if len(match.group(2) + match.group(3)) != column or match.group(4) != " ":
            yield f"{name}:{number}: = is not where those of its neighbours are"
