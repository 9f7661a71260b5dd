"""What must be true of what deploy/terraform makes. Each rule yields what is wrong; one that yields nothing is kept."""

import re

from hcl import strings


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


RULES = [
    one_port_goes_all_the_way, doors_are_open_to_nobody_else, rights_are_few, no_secret_is_written_down,
    encryption_reaches_what_it_is_for, redis_keeps_what_it_was_given, clients_are_let_go_gently, scaling_has_limits_and_cools_down,
]
