"""
deploy/terraform without a cloud: a parser reads every file, and wiring.py and rules.py say what must be true; copies that are broken
on purpose show that each rule sees what it is for. Where there is a terraform it has its say, too: layout, the modules that need
no provider, and the container that they make, whose environment and health check a real server is started with and asked by.
"""

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import hcl
import layout
import rules
import wiring
from talk import Server, main, skip

ROOT = Path(__file__).resolve().parents[3]
TERRAFORM = ROOT / "deploy" / "terraform"
SECONDS = 120
RULES = [*wiring.RULES, *rules.RULES]

# What is broken, how, and which rule must see it.
BREAKS = [
    ("variables.tf", "default     = 8888", "default     = 8080", "variables_are_those_that_were_promised"),
    ("variables.tf", 'variable "redis_num_nodes"', 'variable "redis_nodes"', "variables_are_those_that_were_promised"),
    ("variables.tf", "  default     = {}\n", "", "variables_are_those_that_were_promised"),
    ("variables.tf", "  sensitive   = true\n", "", "no_secret_is_written_down"),
    ("outputs.tf", 'output "endpoint"', 'output "address"', "variables_are_those_that_were_promised"),
    ("outputs.tf", '  description = "The ECS cluster."\n', "", "everything_is_described"),
    ("main.tf", "module.network.vpc_id", "module.network.vpc", "references_resolve"),
    ("main.tf", "module.plan.names", "module.plans.names", "references_resolve"),
    ("main.tf", "data.aws_partition.current.partition", "data.aws_partition.this.partition", "references_resolve"),
    ("main.tf", "data.aws_caller_identity.current.account_id", "data.aws_caller_identity.current.account", "references_resolve"),
    ("modules/redis/secret.tf", "primary_endpoint_address", "primary_endpoint", "references_resolve"),
    ("modules/redis/secret.tf", "local.url", "local.journal", "references_resolve"),
    ("modules/network/outputs.tf", "aws_subnet.private[*].id", "aws_subnet.private[*].ids", "references_resolve"),
    ("modules/network/main.tf", "  count = length(var.private_cidrs)\n", "", "references_resolve"),
    ("modules/autoscale/main.tf", "aws_appautoscaling_target.this.resource_id", "aws_appautoscaling_target.ecs.resource_id", "references_resolve"),
    ("modules/redis/secret.tf", "host = aws_elasticache_replication_group.this.primary_endpoint_address", "host = local.url",
     "nothing_depends_on_itself"),
    ("main.tf", "vpc_cidr      = var.vpc_cidr", "vpc_cidr      = module.redis.endpoint", "nothing_depends_on_itself"),
    ("main.tf", "  vpc_id              = module.network.vpc_id\n", "", "modules_get_what_they_ask_for"),
    ("main.tf", "  min_capacity = var.min_capacity\n", "  least        = var.min_capacity\n", "modules_get_what_they_ask_for"),
    ("main.tf", '"./modules/redis"', '"./modules/valkey"', "modules_get_what_they_ask_for"),
    ("main.tf", "zone_count                = var.zone_count", "zone_count                = 2", "what_is_checked_is_what_is_used"),
    ("modules/plan/variables.tf", '  validation {\n    condition     = contains([2, 3], var.zone_count)\n'
     '    error_message = "zone_count has to be 2 or 3."\n  }\n', "", "what_is_checked_is_what_is_used"),
    ("main.tf", "deletion_protection = var.deletion_protection", "deletion_protection = false", "everything_is_used"),
    ("modules/service/outputs.tf", "", 'output "more" {\n  description = "x"\n  value       = aws_ecs_cluster.this.id\n}\n', "everything_is_used"),
    ("modules/balancer/main.tf", "preserve_client_ip = true", "preserve_client_address = true",
     "resources_have_arguments_that_the_provider_knows"),
    ("modules/service/main.tf", "deployment_circuit_breaker {\n    enable   = true\n", "deployment_circuit_breaker {\n",
     "resources_have_arguments_that_the_provider_knows"),
    ("modules/network/main.tf", 'resource "aws_vpc" "this"', 'resource "aws_vpcs" "this"', "resources_have_arguments_that_the_provider_knows"),
    ("modules/balancer/main.tf", "  port        = var.port\n", "  port        = 8888\n", "one_port_goes_all_the_way"),
    ("modules/container/main.tf", "containerPort = var.port", "containerPort = 8888", "one_port_goes_all_the_way"),
    ("modules/container/main.tf", "0.0.0.0:${var.port}", "0.0.0.0:8888", "one_port_goes_all_the_way"),
    ("modules/container/main.tf", "127.0.0.1/${var.port}", "127.0.0.1/7777", "one_port_goes_all_the_way"),
    ("modules/service/main.tf", "container_port   = var.port", "container_port   = var.cpu", "one_port_goes_all_the_way"),
    ("main.tf", "  app_port      = var.app_port\n", "  app_port      = var.task_cpu\n", "one_port_goes_all_the_way"),
    ("modules/network/firewall.tf", "  to_port                      = var.app_port\n", "  to_port                      = 65535\n",
     "one_port_goes_all_the_way"),
    ("modules/network/firewall.tf", '  description                  = "The tasks"\n  referenced_security_group_id = aws_security_group.task.id\n'
     '  ip_protocol                  = "tcp"\n  from_port                    = var.redis_port',
     '  description                  = "The tasks"\n  cidr_ipv4                    = "0.0.0.0/0"\n'
     '  ip_protocol                  = "tcp"\n  from_port                    = var.redis_port', "doors_are_open_to_nobody_else"),
    ("modules/network/firewall.tf", "referenced_security_group_id = aws_security_group.lb.id",
     "referenced_security_group_id = aws_security_group.task.id", "doors_are_open_to_nobody_else"),
    ("modules/service/main.tf", "assign_public_ip = false", "assign_public_ip = true", "doors_are_open_to_nobody_else"),
    ("modules/policies/outputs.tf", '["secretsmanager:GetSecretValue"]', '["secretsmanager:*"]', "rights_are_few"),
    ("modules/policies/outputs.tf", "[var.secret_arn]", '["*"]', "rights_are_few"),
    ("modules/service/roles.tf", "role   = aws_iam_role.execution.id", "role   = aws_iam_role.task.id", "rights_are_few"),
    ("modules/service/main.tf", "task_role_arn            = aws_iam_role.task.arn", "task_role_arn            = aws_iam_role.execution.arn",
     "rights_are_few"),
    ("modules/redis/main.tf", "auth_token                 = var.encryption ? random_password.redis[0].result : null",
     'auth_token                 = "hunter2hunter2hunter2"', "encryption_reaches_what_it_is_for"),
    ("providers.tf", "access_key = var.aws_access_key", 'access_key = "AKIA' + 'ABCDEFGHIJKLMNOP"', "no_secret_is_written_down"),
    ("modules/redis/outputs.tf", "value       = local.host", "value       = local.url", "no_secret_is_written_down"),
    ("modules/container/main.tf", 'secrets     = [{ name = "CHAT_JOURNAL", valueFrom = var.journal_secret }]', "secrets     = []",
     "no_secret_is_written_down"),
    ("modules/redis/main.tf", "transit_encryption_enabled = var.encryption", "transit_encryption_enabled = false",
     "encryption_reaches_what_it_is_for"),
    ("modules/redis/secret.tf", '"rediss://', '"redis://', "encryption_reaches_what_it_is_for"),
    ("modules/balancer/main.tf", '"TCP" : "TLS"', '"TCP" : "TCP"', "encryption_reaches_what_it_is_for"),
    ("modules/redis/main.tf", "automatic_failover_enabled = var.num_nodes > 1", "automatic_failover_enabled = true",
     "redis_keeps_what_it_was_given"),
    ("modules/redis/main.tf", '"noeviction"', '"allkeys-lru"', "redis_keeps_what_it_was_given"),
    ("modules/plan/outputs.tf", "value       = 150", "value       = 60", "clients_are_let_go_gently"),
    ("modules/balancer/main.tf", '"/readyz"', '"/"', "clients_are_let_go_gently"),
    ("modules/balancer/main.tf", "enable_unhealthy_connection_termination = false", "enable_unhealthy_connection_termination = true",
     "clients_are_let_go_gently"),
    ("modules/service/main.tf", "ignore_changes = [desired_count]", "ignore_changes = []", "clients_are_let_go_gently"),
    ("modules/autoscale/main.tf", "    scale_in_cooldown  = 300\n", "", "scaling_has_limits_and_cools_down"),
    ("main.tf", "  max_capacity = var.max_capacity\n", "  max_capacity = 3\n", "scaling_has_limits_and_cools_down"),
    ("versions.tf", '"5.100.0"', '">= 5.0"', "versions_are_pinned"),
    ("modules/plan/versions.tf", 'required_version = ">= 1.9.0, < 2.0.0"', "", "versions_are_pinned"),
]


def broken(tree):
    """Which rules a tree breaks, and how."""
    return {rule.__name__: problems for rule in RULES if (problems := list(rule(tree)))}


@functools.cache
def files():
    return [path for path in sorted(TERRAFORM.rglob("*")) if path.is_file() and re.search(r"\.(tf|hcl|tfvars\.example)$", path.name)]


def test_every_rule_is_kept():
    tree, = hcl.read(TERRAFORM)
    assert not tree.errors, "\n".join(tree.errors)
    assert len(tree.files) == len(files()) > 30 and len(tree.modules) >= 8, (sorted(tree.files), sorted(tree.modules))
    found = broken(tree)
    assert not found, json.dumps(found, indent=2)


def copies(folder):
    """A broken copy for each of BREAKS."""
    for number, (name, old, new, _) in enumerate(BREAKS):
        copy = folder / f"{number:03}"
        shutil.copytree(TERRAFORM, copy, ignore=shutil.ignore_patterns(".terraform", "tests"))
        text = (copy / name).read_text()
        assert old in text, f"{name} no longer has: {old}"
        (copy / name).write_text(text.replace(old, new, 1) if old else text + new)
        yield copy


def test_each_rule_sees_what_it_is_for():
    with tempfile.TemporaryDirectory(prefix="tcpchat-terraform-") as folder:
        trees = hcl.read(*copies(Path(folder)))
    for tree, (name, old, new, rule) in zip(trees, BREAKS, strict=True):
        found = broken(tree)
        assert not tree.errors, tree.errors
        assert rule in found, f"{name}: {old!r} became {new!r}; {rule} did not see it, but: {found}"
    unseen = {rule.__name__ for rule in RULES} - {rule for *_, rule in BREAKS}
    assert not unseen, f"nothing shows that these see anything: {unseen}"


def test_what_is_no_hcl_is_seen():
    with tempfile.TemporaryDirectory(prefix="tcpchat-terraform-") as folder:
        Path(folder, "main.tf").write_text('resource "a" "b" {\n')
        tree, = hcl.read(folder)
    assert len(tree.errors) == 1, tree.errors


def test_files_are_laid_out_as_terraform_would():
    found = [problem for path in files() for problem in layout.problems(path.relative_to(TERRAFORM), path.read_text())]
    assert not found, "\n".join(found)


def test_a_bad_layout_is_seen():
    good = 'resource "a" "b" {\n  name = 1\n\n  # why\n  long_name = [\n    2,\n  ]\n\n  block {\n    a  = "{"\n    bc = f([{ x = 1 }])\n  }\n}\n'
    assert not list(layout.problems("x", good))
    for old, new in (("  name", "   name"), ("name = 1", "name  = 1"), ("a  =", "a ="), ("    2,", "  2,"), ("1\n", "1 \n"), ("  ]", "]"),
                     ("long_name = [", "long_name  = ["), ("  block", "\tblock"), ("}\n}\n", "}\n}\n\n")):
        assert old in good and layout.problems("x", good.replace(old, new, 1)), f"{old!r} became {new!r}"


def test_the_example_sets_what_there_is_and_no_secret():
    tree, = hcl.read(TERRAFORM)
    example = tree.files["terraform.tfvars.example"]
    needed = {name for name, body in tree.top.variables.items() if "default" not in body}
    assert needed <= set(example) <= set(tree.top.variables), sorted(example)
    assert not {name for name in example if tree.top.variables[name].get("sensitive")}, sorted(example)
    commented = set(re.findall(r"^# (\w+) += ", (TERRAFORM / "terraform.tfvars.example").read_text(), re.MULTILINE))
    assert commented and commented <= set(tree.top.variables), commented


def shown(value):
    """A default as the README shows it."""
    return value if isinstance(value, str) else json.dumps(value)


def test_the_readme_has_every_variable_and_output():
    tree, = hcl.read(TERRAFORM)
    text = (TERRAFORM / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.MULTILINE))
    wanted = {name: f"`{shown(body['default'])}`" if "default" in body else "needed" for name, body in tree.top.variables.items()}
    wanted.update({name: rows.get(name) for name in tree.top.outputs})
    assert rows == wanted, {name: (rows.get(name), wanted.get(name)) for name in {*rows, *wanted} if rows.get(name) != wanted.get(name)}
    types = {type_ for module in tree.modules.values() for type_, _ in module.resources if type_ != "terraform_data"}
    missing = {type_ for type_ in types if f"`{type_}`" not in text}
    assert not missing, f"the README does not say that there are {sorted(missing)}"


def terraform(folder, *arguments, check=True):
    """Runs terraform in a copy; it asks no server for its own news, and reads nobody's configuration."""
    if not shutil.which("terraform"):
        skip("terraform is not installed, and no package of Debian or npm has it")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    environment.update(CHECKPOINT_DISABLE="1", TF_CLI_CONFIG_FILE=os.devnull, TF_IN_AUTOMATION="1")
    done = subprocess.run(["terraform", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0 or not check, f"terraform {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
    return done.stdout


class Copy:
    """The modules without a provider, in a folder of their own, where terraform may write."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tcpchat-terraform-")
        for name in wiring.COMPUTED:
            shutil.copytree(TERRAFORM / "modules" / name, Path(self.folder.name, name))
            terraform(Path(self.folder.name, name), "init", "-backend=false", "-no-color")
        return Path(self.folder.name)

    def __exit__(self, *_):
        self.folder.cleanup()


def test_terraform_finds_nothing_to_lay_out():
    found = terraform(TERRAFORM, "fmt", "-check", "-recursive", "-diff", "-no-color", ".")
    assert found.strip() == "", found


def test_modules_without_a_provider_are_valid():
    with Copy() as folder:
        for name in wiring.COMPUTED:
            found = json.loads(terraform(folder / name, "validate", "-json"))
            assert found["valid"] and not found["diagnostics"], found


def test_modules_without_a_provider_compute_what_they_should():
    with Copy() as folder:
        for name in sorted(wiring.COMPUTED):
            found = terraform(folder / name, "test", "-no-color")
            written = len(re.findall(r"^run ", (folder / name / "tests" / f"{name}.tftest.hcl").read_text(), re.MULTILINE))
            passed = re.search(r"(\d+) passed, 0 failed", found)
            assert passed and int(passed.group(1)) == written >= 7, found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def container(folder, port):
    """The definition of the container, as ECS would get it."""
    values = {"name": "chat", "image": "x", "port": port, "environment": {"CHAT_ROOMS": "closed"}, "journal_secret": "arn:::1",
              "open_files": 4096, "stop_timeout_secs": 30, "log_group": "chat", "region": "us-west-2"}
    (folder / "values.tfvars.json").write_text(json.dumps(values))
    terraform(folder, "apply", "-auto-approve", "-no-color", "-var-file=values.tfvars.json")
    return json.loads(json.loads(terraform(folder, "output", "-json"))["definitions"]["value"])[0]


def healthy(definition):
    kind, *command = definition["healthCheck"]["command"]
    assert kind == "CMD", definition["healthCheck"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=definition["healthCheck"]["timeout"] * 4, check=False).returncode == 0


def test_the_server_runs_as_the_container_says():
    with Copy() as folder:
        port = free_port()
        definition = container(folder / "container", port)
    environment = {pair["name"]: pair["value"] for pair in definition["environment"]}
    assert [secret["name"] for secret in definition["secrets"]] == ["CHAT_JOURNAL"] and "CHAT_JOURNAL" not in environment
    assert not healthy(definition), "there is no server yet, and it is healthy"
    # Another journal in place of the secret, and what the load balancer and ECS ask.
    with Server(listen=(), journal=None, history=None, environment=dict(environment, CHAT_JOURNAL="memory"),
                descriptors=definition["ulimits"][0]["softLimit"]) as server:
        assert server.port == port == definition["portMappings"][0]["containerPort"], server.places
        assert healthy(definition), "the server is there, and it is not healthy"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=20) as answer:
            assert answer.status == 200, answer.status
        server.join("ann").say("hello")
        server.log.wait(r'^\{.*"')
    assert not healthy(definition), "the server is gone, and it is healthy"


main(seconds=2 * SECONDS)
