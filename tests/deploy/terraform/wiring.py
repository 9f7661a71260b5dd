"""What must be true of how deploy/terraform hangs together. Each rule yields what is wrong; one that yields nothing is kept."""

import json
import re
from pathlib import Path

# What the provider's documentation says each resource takes and exports; it stands for the provider, which needs the registry.
ARGUMENTS = json.loads((Path(__file__).resolve().parent / "arguments.json").read_text())
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "dynamic"}
NEEDED = object()  # of a variable that has no default

PROMISED = {
    "region": ("string", "ap-northeast-2"),
    "aws_access_key": ("string", None),
    "aws_secret_key": ("string", None),
    "app_name": ("string", NEEDED),
    "app_port": ("number", 8888),
    "app_image": ("string", NEEDED),
    "app_environment_variables": ("map(string)", {}),
    "redis_node_type": ("string", "cache.t4g.micro"),
    "redis_num_nodes": ("number", 1),
    "min_capacity": ("number", 1),
    "max_capacity": ("number", 3),
}
OUTPUTS = {"endpoint", "lb_dns_name", "redis_endpoint", "vpc_id", "private_subnet_ids"}
COMPUTED = {"plan", "container", "policies"}  # they have no provider


def variables_are_those_that_were_promised(tree):
    for name, (type_, default) in PROMISED.items():
        found = tree.top.variables.get(name)
        if found is None:
            yield f"there is no variable {name}"
        elif found.get("type") != f"${{{type_}}}":
            yield f"{name} is of another type: {found.get('type')}"
        elif default is NEEDED and "default" in found:
            yield f"{name} has a default"
        elif default is not NEEDED and ("default" not in found or found["default"] != default):
            yield f"{name} has another default: {found.get('default', 'none')}"
    for name in OUTPUTS - set(tree.top.outputs):
        yield f"there is no output {name}"


def everything_is_described(tree):
    for name, body in [*tree.top.variables.items(), *tree.top.outputs.items()]:
        if not body.get("description"):
            yield f"{name} has no description"
    for module in tree.modules.values():
        for name, body in module.outputs.items():
            if not body.get("description"):
                yield f"{module}: output {name} has no description"


def _known_attribute(kind, attribute):
    known = ARGUMENTS.get(kind, {})
    return attribute in {*known.get("required", []), *known.get("optional", []), *known.get("exports", []), *known.get("blocks", {})}


def _unresolved(tree, module, words, body):
    """Why a reference leads nowhere, or None. 'words': its parts between dots."""
    head, rest = words[0], [word for word in words[1:] if not word.isdigit()]
    if head == "var":
        return None if rest[0] in module.variables else "no such variable"
    if head == "local":
        return None if rest[0] in module.locals else "no such local"
    if head == "module":
        if rest[0] not in module.calls:
            return "no such module"
        called = tree.called(module, rest[0])
        return None if len(rest) > 1 and called and rest[1] in called.outputs else "no such output"
    if head in ("each", "count"):
        return None if isinstance(body, dict) and ("for_each" if head == "each" else "count") in body else f"no {head} here"
    if head == "data":
        table, prefix, rest = module.data, "data ", rest
    else:
        table, prefix, rest = module.resources, "", [head, *rest]
    if len(rest) < 2 or (rest[0], rest[1]) not in table:
        return "no such resource"
    if len(rest) > 2 and not _known_attribute(prefix + rest[0], rest[2]):
        return "no such attribute"
    return None


def references_resolve(tree):
    types = {"string", "number", "bool", "any", "account", "region", "name"}  # of variables
    for module in tree.modules.values():
        for place, body in module.places():
            ignored = set(tree.refers(body.get("lifecycle", []))) if isinstance(body, dict) else set()
            for reference in tree.refers(body):
                if reference in ignored or (place.startswith("variable") and reference in types):
                    continue
                why = _unresolved(tree, module, reference.split("."), body)
                if why:
                    yield f"{module}: {place}: {reference}: {why}"


def _leads_to(tree, node):
    """What has to be known before a node: (module, name of a variable, local, output or resource)."""
    module, name = node
    kind, _, rest = name.partition(".")
    if kind == "var":
        if module is not tree.top:
            for call, body in tree.top.calls.items():
                if tree.called(tree.top, call) is module:
                    yield from ((tree.top, reference) for reference in tree.refers(body.get(rest)))
        return
    if kind == "module":
        call, _, output = rest.partition(".")
        if call in module.calls and (called := tree.called(module, call)):
            yield called, f"output.{output}"
        return
    table = {"local": module.locals, "output": module.outputs}.get(kind)
    words = name.split(".")
    body = table.get(rest.split(".")[0]) if table is not None else module.resources.get(tuple(words[:2]))
    yield from ((module, reference) for reference in tree.refers(body))


def _short(node):
    """A node without what comes after its name."""
    module, name = node
    words = name.split(".")
    return module, ".".join(words[:3] if words[0] == "module" else words[:2])


def nothing_depends_on_itself(tree):
    done = set()

    def visit(node, way):
        if node in way:
            yield " <- ".join(f"{module}: {name}" for module, name in (*way[way.index(node):], node))
        elif node not in done:
            for further in _leads_to(tree, node):
                yield from visit(_short(further), (*way, node))
            done.add(node)

    for module in tree.modules.values():
        for type_, name in module.resources:
            yield from visit((module, f"{type_}.{name}"), ())


def modules_get_what_they_ask_for(tree):
    for module in tree.modules.values():
        for name, body in module.calls.items():
            called = tree.called(module, name)
            if called is None:
                yield f"{module}: module {name} is not there: {body.get('source')}"
                continue
            given = set(body) - META - {"source", "version", "providers"}
            for missing in sorted(set(called.variables) - given):
                if "default" not in called.variables[missing]:
                    yield f"{module}: module {name} is not given {missing}"
            for unknown in sorted(given - set(called.variables)):
                yield f"{module}: module {name} is given {unknown}, which it does not know"


def what_is_checked_is_what_is_used(tree):
    plan, given = tree.module("plan"), tree.top.calls.get("plan", {})
    for name in plan.variables:
        if given.get(name) != f"${{var.{name}}}":
            yield f"modules/plan checks {given.get(name)} as {name}"
        if not plan.variables[name].get("validation") and plan.variables[name].get("type") != "${bool}":
            yield f"modules/plan does not check {name}"
    for name, body in tree.top.variables.items():
        if name not in plan.variables and body.get("type") != "${bool}" and not re.match("aws_(access|secret)_key$", name):
            yield f"nothing checks {name}"
    if "var.aws_access_key" not in set(tree.refers(tree.top.variables.get("aws_secret_key", {}).get("validation", []))):
        yield "half a pair of keys is taken"


def everything_is_used(tree):
    for module in tree.modules.values():
        used = {".".join(reference.split(".")[:2]) for place, body in module.places()
                for reference in tree.refers(_without_its_own_rules(place, body))}
        # In modules/plan a rule about a variable is a use of it.
        rules = {reference for body in module.variables.values() for reference in tree.refers(body.get("validation", []))}
        for name in module.variables:
            if f"var.{name}" not in used and not (module is not tree.top and f"var.{name}" in rules):
                yield f"{module}: variable {name} is not used"
        for name in module.locals:
            if f"local.{name}" not in used:
                yield f"{module}: local {name} is not used"
        for type_, name in module.data:
            if not any(reference.startswith(f"data.{type_}.{name}") for _, body in module.places() for reference in tree.refers(body)):
                yield f"{module}: data {type_}.{name} is not used"
    called = {tree.called(module, name) for module in tree.modules.values() for name in module.calls}
    for module in tree.modules.values():
        if module is not tree.top and module not in called:
            yield f"{module} is not called"
        for name in module.outputs:
            if module is not tree.top and not _output_used(tree, module, name):
                yield f"{module}: output {name} is not used"


def _without_its_own_rules(place, body):
    return {key: value for key, value in body.items() if key != "validation"} if place.startswith("variable") else body


def _output_used(tree, module, output):
    return any(tree.called(tree.top, reference.split(".")[1]) is module and reference.split(".")[2] == output
               for _, body in tree.top.places() for reference in tree.refers(body)
               if reference.startswith("module.") and reference.split(".")[1] in tree.top.calls)


def _wrong_arguments(known, body):
    names = set(body) - META
    blocks = known.get("blocks", {})
    for name in sorted(names - {*known.get("required", []), *known.get("optional", []), *blocks}):
        yield f"{name} is unknown"
    for name in sorted(set(known.get("required", [])) - names):
        yield f"{name} is missing"
    for name in sorted(names & set(blocks)):
        for inner in body[name]:
            yield from (f"{name}: {problem}" for problem in _wrong_arguments(blocks[name], inner))


def resources_have_arguments_that_the_provider_knows(tree):
    for module in tree.modules.values():
        for prefix, table in (("", module.resources), ("data ", module.data)):
            for (type_, name), body in table.items():
                if prefix + type_ not in ARGUMENTS:
                    yield f"{module}: {type_} is not in arguments.json"
                else:
                    yield from (f"{module}: {type_}.{name}: {problem}" for problem in _wrong_arguments(ARGUMENTS[prefix + type_], body))


def versions_are_pinned(tree):
    for module in tree.modules.values():
        terraform = {key: value for block in module.terraform for key, value in block.items()}
        if not terraform.get("required_version"):
            yield f"{module}: any Terraform would do"
        providers = {key: value for block in terraform.get("required_providers", []) for key, value in block.items()}
        needed = {type_.split("_")[0] for type_, _ in [*module.resources, *module.data]} - {"terraform"}
        for name in needed - set(providers):
            yield f"{module}: provider {name} is not asked for"
        for name, wanted in providers.items():
            if not wanted.get("source") or not wanted.get("version"):
                yield f"{module}: provider {name} may be any"
            elif module is tree.top and not re.fullmatch(r"\d+\.\d+\.\d+", wanted["version"]):
                yield f"provider {name} is not pinned: {wanted['version']}"
        if module.path.removeprefix("modules/") in COMPUTED and (module.resources or module.data or providers):
            yield f"{module} cannot be tested without a cloud"


RULES = [
    variables_are_those_that_were_promised, everything_is_described, references_resolve, nothing_depends_on_itself,
    modules_get_what_they_ask_for, what_is_checked_is_what_is_used, everything_is_used,
    resources_have_arguments_that_the_provider_knows, versions_are_pinned,
]
