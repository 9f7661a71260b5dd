"""What must be true of deploy/terraform. Each rule yields what is wrong; a rule that yields nothing is kept."""

import json
import re
from pathlib import Path

from hcl import strings

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


def _from_top(tree, module, what, found, wanted):
    origin = tree.origin(module, found)
    if origin != wanted:
        yield f"{module}: {what} is {found}, that is {origin}, and not {wanted}"


def one_port_goes_all_the_way(tree):
    network, balancer, service, container = map(tree.module, ("network", "balancer", "service", "container"))
    port = "${var.app_port}"
    for name, body in balancer.of_type("aws_lb_target_group").items():
        yield from _from_top(tree, balancer, f"the port of target group {name}", body.get("port"), port)
        for check in body.get("health_check", [{}]):
            if check.get("port") != "traffic-port":
                yield f"{balancer}: the health check asks another port"
    for name, body in balancer.of_type("aws_lb_listener").items():
        yield from _from_top(tree, balancer, f"the port of listener {name}", body.get("port"), port)
    for body in service.of_type("aws_ecs_service").values():
        for block in body.get("load_balancer", [{}]):
            yield from _from_top(tree, service, "container_port", block.get("container_port"), port)
    text = str(container.locals.get("container", {}).get("portMappings"))
    numbers = re.findall(r"'(?:containerPort|hostPort)': '(.*?)'", text) or re.findall(r"(?:containerPort|hostPort) = ([\w.]+)", text)
    if len(numbers) != 2:
        yield f"{container}: no port mappings: {text}"
    for number in numbers:
        yield from _from_top(tree, container, "the mapped port", number if "$" in number else f"${{{number}}}", port)
    if not re.search(r'CHAT_LISTEN\s*=\s*"0\.0\.0\.0:\$\{var\.port\}"', str(container.locals.get("environment"))):
        yield f"{container}: CHAT_LISTEN is not the port"
    if "/127.0.0.1/${var.port} " not in str(container.locals.get("alive")):
        yield f"{container}: its health check asks another port"
    rules = {"lb_people": port, "task_lb": port, "redis_task": "${module.plan.redis_port}", "endpoint_task": 443}
    for kind, expected in (("ingress", rules), ("egress", {"lb_task": port, "task_redis": "${module.plan.redis_port}"})):
        found = network.of_type(f"aws_vpc_security_group_{kind}_rule")
        for name, wanted in expected.items():
            for end in "from_port", "to_port":
                yield from _from_top(tree, network, f"{kind} {name} {end}", found.get(name, {}).get(end), wanted)
    redis = tree.module("redis")
    for body in redis.of_type("aws_elasticache_replication_group").values():
        yield from _from_top(tree, redis, "the port of Redis", body.get("port"), "${module.plan.redis_port}")


def doors_are_open_to_nobody_else(tree):
    for module in tree.modules.values():
        for name, body in module.of_type("aws_security_group").items():
            if "ingress" in body or "egress" in body:
                yield f"{module}: {name} has rules of its own"
        for name, body in module.of_type("aws_vpc_security_group_ingress_rule").items():
            group = body.get("security_group_id")
            if ("cidr_ipv4" in body or "cidr_ipv6" in body or "prefix_list_id" in body) and group != "${aws_security_group.lb.id}":
                yield f"{module}: {name} lets addresses in, and not to the load balancer"
            if body.get("ip_protocol") != "tcp" or body.get("from_port") != body.get("to_port"):
                yield f"{module}: {name} is more than one port of TCP"
        for text in strings([body for key, body in module.resources.items() if key[0] != "aws_route"]):
            if ("0.0.0.0/0" in text or "::/0" in text) and text != "0.0.0.0/0":
                yield f"{module}: {text}"
    rules = tree.module("network").of_type("aws_vpc_security_group_ingress_rule")
    for name, (to, source) in {"task_lb": ("task", "lb"), "redis_task": ("redis", "task"), "endpoint_task": ("endpoint", "task")}.items():
        found = rules.get(name, {})
        if (found.get("security_group_id"), found.get("referenced_security_group_id")) != (
                f"${{aws_security_group.{to}.id}}", f"${{aws_security_group.{source}.id}}"):
            yield f"{name} is not from {source} to {to}"
    for name in set(rules) - {"lb_people", "task_lb", "redis_task", "endpoint_task"}:
        yield f"there is another way in: {name}"
    closed = tree.module("network").of_type("aws_default_security_group")
    if not closed or any("ingress" in body or "egress" in body for body in closed.values()):
        yield "the default group lets somebody in"
    for body in tree.module("service").of_type("aws_ecs_service").values():
        if body.get("network_configuration", [{}])[0].get("assign_public_ip") is not False:
            yield "tasks have addresses of the internet"


def rights_are_few(tree):
    for module in tree.modules.values():
        for type_, name in module.resources:
            if re.search(r"aws_iam_(?!role$|role_policy$)", type_):
                yield f"{module}: {type_}.{name}: rights that are not in modules/policies"
    service = tree.module("service").of_type("aws_iam_role_policy")
    if [body.get("role") for body in service.values()] != ["${aws_iam_role.execution.id}"]:
        yield f"more than what starts a task has rights: {sorted(service)}"
    for body in tree.module("service").of_type("aws_ecs_task_definition").values():
        roles = body.get("execution_role_arn"), body.get("task_role_arn")
        if roles != ("${aws_iam_role.execution.arn}", "${aws_iam_role.task.arn}"):
            yield f"the task's roles are {roles}"
    yield from _rights_in_policies(tree)


def _rights_in_policies(tree):
    text = "\n".join(strings([body for _, body in tree.module("policies").places()]))
    actions = re.findall(r"Action\s*=\s*(\[.*?\]|\S+)", text)
    if not actions:
        yield "there are no rights at all"
    for action in actions:
        if "*" in action or action[0] != "[":
            yield f"an action for everything: {action}"
    for match in re.finditer(r"Action\s*=\s*(\[[^\]]*\])\s+Resource\s*=\s*(\[[^\]]*\])", text):
        if '"*"' in match.group(2) and match.group(1) != '["ecr:GetAuthorizationToken"]':
            yield f"for all resources: {match.group(1)}"
    if len(re.findall(r'Resource\s*=\s*\["\*"\]', text)) != 1 or re.search(r'Resource\s*=\s*"\*"', text):
        yield "something else than the registry's token is for all resources"


SECRETS = [r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b", r"-----BEGIN", r"\b[A-Za-z0-9+/]{40}\b", r"://[^/\s\"$]*:[^/\s\"$]+@"]


def no_secret_is_written_down(tree):
    for name, parsed in tree.files.items():
        for text in strings(parsed):
            if ".tftest." not in name and any(re.search(pattern, text) for pattern in SECRETS):
                yield f"{name}: {text[:60]}"
    for name, body in tree.top.variables.items():
        if re.search("key|secret|password|token", name) and (body.get("sensitive") is not True or body.get("default") is not None):
            yield f"variable {name} is a secret with a default, or is not sensitive"
    for module in tree.modules.values():
        for place, body in module.places():
            found = set(tree.refers(body))
            password = any(reference.startswith("random_password.") for reference in found)
            if password and place not in ("aws_elasticache_replication_group.this", "local url"):
                yield f"{module}: {place} has the password of Redis"
            if "local.url" in found and place != "aws_secretsmanager_secret_version.journal":
                yield f"{module}: {place} has the URL of the journal"
    secrets = str(tree.module("container").locals.get("container", {}).get("secrets"))
    if "CHAT_JOURNAL" not in secrets or "var.journal_secret" not in secrets:
        yield "the container does not get its journal as a secret"
    if tree.top.calls.get("container", {}).get("journal_secret") != "${module.redis.journal_secret}":
        yield "the container gets another secret"


def encryption_reaches_what_it_is_for(tree):
    redis, balancer = tree.module("redis"), tree.module("balancer")
    if tree.top.variables.get("redis_encryption", {}).get("default") is not True:
        yield "Redis is not encrypted by default"
    for body in redis.of_type("aws_elasticache_replication_group").values():
        for name in "at_rest_encryption_enabled", "transit_encryption_enabled":
            yield from _from_top(tree, redis, name, body.get(name), "${var.redis_encryption}")
        if body.get("auth_token") != "${var.encryption ? random_password.redis[0].result : null}":
            yield f"auth_token is {body.get('auth_token')}"
        if body.get("transit_encryption_mode") != '${var.encryption ? "required" : null}':
            yield "Redis takes clients without TLS"
    if not re.search(r'var\.encryption \? "rediss://:\$\{random_password\.redis\[0\]\.result\}@.*" : "redis://', str(redis.locals.get("url"))):
        yield "the journal's URL does not follow the encryption"
    for body in balancer.of_type("aws_lb_listener").values():
        yield from _from_top(tree, balancer, "certificate_arn", body.get("certificate_arn"), "${var.certificate_arn}")
        if body.get("protocol") != '${var.certificate_arn == null ? "TCP" : "TLS"}':
            yield "a certificate does not make the listener speak TLS"
        if '? null : "ELBSecurityPolicy-TLS13-' not in str(body.get("ssl_policy")):
            yield "no policy for TLS"


def redis_keeps_what_it_was_given(tree):
    redis = tree.module("redis")
    for body in redis.of_type("aws_elasticache_replication_group").values():
        for name in "automatic_failover_enabled", "multi_az_enabled":
            if body.get(name) != "${var.num_nodes > 1}":
                yield f"{name} does not depend on the number of nodes: {body.get(name)}"
        for name, wanted in (("num_cache_clusters", "redis_num_nodes"), ("node_type", "redis_node_type"),
                             ("snapshot_retention_limit", "redis_snapshot_days")):
            yield from _from_top(tree, redis, name, body.get(name), f"${{var.{wanted}}}")
        if not body.get("final_snapshot_identifier"):
            yield "no last snapshot"
    groups = redis.of_type("aws_elasticache_parameter_group").values()
    if [block for body in groups for block in body.get("parameter", [])] != [{"name": "maxmemory-policy", "value": "noeviction"}]:
        yield "Redis may throw away what it keeps"


def clients_are_let_go_gently(tree):
    balancer = tree.module("balancer")
    for body in balancer.of_type("aws_lb_target_group").values():
        yield from _from_top(tree, balancer, "deregistration_delay", body.get("deregistration_delay"), "${module.plan.deregistration_secs}")
        if body.get("connection_termination") is not False or body.get("preserve_client_ip") is not True:
            yield "connections are cut, or clients' addresses lost"
        # A load balancer goes on sending new clients for two minutes.
        if tree.module("plan").outputs.get("deregistration_secs", {}).get("value", 0) <= 120:
            yield "a task goes before the load balancer knows"
        if body.get("target_health_state") != [{"enable_unhealthy_connection_termination": False}]:
            yield "who is connected to a server whose journal is away is cut off"
        check = body.get("health_check", [{}])[0]
        if (check.get("protocol"), check.get("path"), check.get("matcher")) != ("HTTP", "/readyz", "200"):
            yield f"the health check does not ask whether the server is ready: {check}"
        if check.get("interval", 0) * check.get("unhealthy_threshold", 0) < 60:
            yield "a server is replaced before Redis can change its primary"
    if not all(body.get("enable_cross_zone_load_balancing") is True for body in balancer.of_type("aws_lb").values()):
        yield "a task serves only its own zone"
    container = tree.module("container")
    found = container.locals.get("container", {})
    yield from _from_top(tree, container, "stopTimeout", found.get("stopTimeout"), "${module.plan.stop_timeout_secs}")
    if "nofile" not in str(found.get("ulimits")) or "var.open_files" not in str(found.get("ulimits")):
        yield "no limit of open files"
    for body in tree.module("service").of_type("aws_ecs_service").values():
        if "${desired_count}" not in str(body.get("lifecycle")):
            yield "Terraform and autoscaling quarrel about the number of tasks"


def scaling_has_limits_and_cools_down(tree):
    autoscale = tree.module("autoscale")
    targets, policies = autoscale.of_type("aws_appautoscaling_target"), autoscale.of_type("aws_appautoscaling_policy")
    for body in targets.values():
        for name in "min_capacity", "max_capacity":
            yield from _from_top(tree, autoscale, name, body.get(name), f"${{var.{name}}}")
    blocks = [block for body in policies.values() for block in body.get("target_tracking_scaling_policy_configuration", [])]
    if len(targets) != 1 or not blocks:
        yield "nothing is scaled"
    for block in blocks:
        out, in_ = block.get("scale_out_cooldown", 0), block.get("scale_in_cooldown", 0)
        if not 0 < out < in_:
            yield f"cool-downs: out {out}, in {in_}"
    if "ECSServiceAverageCPUUtilization" not in str(autoscale.locals):
        yield "CPU does not count"


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
    resources_have_arguments_that_the_provider_knows, one_port_goes_all_the_way, doors_are_open_to_nobody_else, rights_are_few,
    no_secret_is_written_down, encryption_reaches_what_it_is_for, redis_keeps_what_it_was_given, clients_are_let_go_gently,
    scaling_has_limits_and_cools_down, versions_are_pinned,
]
