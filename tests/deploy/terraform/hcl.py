"""Terraform's files as the parser sees them: modules, what they declare and call, and where a value comes from."""

import json
import os
import re
import subprocess
from pathlib import Path

import npm

HERE = Path(__file__).resolve().parent
BLOCK_SECONDS = 120


class Module:
    """One folder of .tf files. Bodies are dictionaries; an expression is a string with ${...} in it."""

    def __init__(self, path, files):
        self.path = path
        self.terraform, self.providers, self.locals = [], {}, {}
        self.variables, self.outputs, self.calls = {}, {}, {}
        self.resources, self.data = {}, {}
        for parsed in files:
            self._take(parsed)

    def _take(self, parsed):
        self.terraform += parsed.get("terraform", [])
        for block in parsed.get("locals", []):
            self.locals.update(block)
        for kind, into in (("variable", self.variables), ("output", self.outputs), ("module", self.calls), ("provider", self.providers)):
            for name, bodies in parsed.get(kind, {}).items():
                into[name] = bodies[0]
        for kind, into in (("resource", self.resources), ("data", self.data)):
            for type_, named in parsed.get(kind, {}).items():
                for name, bodies in named.items():
                    into[type_, name] = bodies[0]

    def places(self):
        """Everything that holds expressions, with a name for it."""
        for what, table in (("variable", self.variables), ("output", self.outputs), ("module", self.calls),
                            ("provider", self.providers), ("local", self.locals)):
            for name, body in table.items():
                yield f"{what} {name}", body
        for prefix, table in (("", self.resources), ("data ", self.data)):
            for (type_, name), body in table.items():
                yield f"{prefix}{type_}.{name}", body

    def of_type(self, type_):
        return {name: body for (found, name), body in self.resources.items() if found == type_}

    def __str__(self):
        return self.path or "the top"


class Tree:
    """All modules of a folder, the top one under the name ''."""

    def __init__(self, read):
        self.errors, self.references, self.files = read["errors"], read["references"], read["files"]
        folders = {}
        for name, parsed in self.files.items():
            if name.endswith(".tf"):
                folders.setdefault(os.path.dirname(name), []).append(parsed)
        self.modules = {path: Module(path, files) for path, files in folders.items()}
        self.top = self.modules.get("", Module("", []))

    def called(self, module, name):
        """The module that a call of 'module' names, or None."""
        source = module.calls[name].get("source", "")
        return self.modules.get(os.path.normpath(os.path.join(module.path, source)))

    def module(self, name):
        return self.modules.get(f"modules/{name}", Module(f"modules/{name}", []))

    def refers(self, body):
        """What the expressions of a body refer to, as var.x or TYPE.NAME.attribute."""
        for text in strings(body):
            yield from self.references.get(text, [])
            # The parser leaves out what follows a splat.
            for type_name, attribute in re.findall(r"\b([a-z]\w*_\w+\.\w+)\[\*\]\.(\w+)", text):
                yield f"{type_name}.{attribute}"

    def origin(self, module, expression):
        """Where a value comes from: a variable of a module is followed to what the top gives it; anything else is returned as it is."""
        match = re.fullmatch(r"\$\{var\.(\w+)\}", str(expression))
        if not match or module.path == "":
            return expression
        for name, body in self.top.calls.items():
            if self.called(self.top, name) is module:
                return body.get(match.group(1))
        return None


def strings(value):
    """All strings in a value, at whatever depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def read(*folders):
    """Parses folders; returns a Tree for each."""
    environment = dict(os.environ, PACKAGES=str(npm.packages(HERE, "terraform-npm", "a parser of HCL")))
    done = subprocess.run(["node", str(HERE / "read.mjs"), *map(str, folders)], env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, timeout=BLOCK_SECONDS, check=True)
    found = json.loads(done.stdout)
    return [Tree(found[str(folder)]) for folder in folders]
