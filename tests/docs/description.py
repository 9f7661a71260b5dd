"""OpenAPI and AsyncAPI files: reading them, with what their references name put in, and holding values against their schemas."""

import json
import os

from talk import skip

try:
    import jsonschema
    import yaml
except ImportError as error:
    jsonschema, yaml, MISSING = None, None, error.name
else:
    MISSING = None

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")


def read(name):
    """The file below docs/, without references."""
    if MISSING is not None:
        skip(f"there is no {MISSING} for Python (python3-yaml, python3-jsonschema)")
    return expand(parse(name), name, {})


def parse(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return yaml.safe_load(file) if name.endswith(".yaml") else json.load(file)


def expand(value, name, files):
    files.setdefault(name, None)
    if files[name] is None:
        files[name] = parse(name)
    if isinstance(value, list):
        return [expand(item, name, files) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("$ref"), str):
        assert len(value) == 1, f"something stands beside a reference: {value}"
        other, _, pointer = value["$ref"].partition("#")
        other = other or name
        target = files.get(other) or parse(other)
        files[other] = target
        for part in pointer.split("/")[1:]:
            part = part.replace("~1", "/").replace("~0", "~")
            assert isinstance(target, dict) and part in target, f"{value['$ref']} leads nowhere"
            target = target[part]
        return expand(target, other, files)
    return {key: expand(item, name, files) for key, item in value.items()}


def faults(value, schema):
    """Why the value is not as the schema says."""
    return [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(value)]
