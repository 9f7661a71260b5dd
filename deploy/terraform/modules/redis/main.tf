# The journal: what people say is in Redis' streams, and nowhere else.

resource "aws_elasticache_subnet_group" "this" {
  name       = var.names.redis_subnets
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  name        = var.names.redis_params
  family      = "redis7"
  description = "Redis as a journal"

  # When memory is full nothing new is kept, which its sender is told; nothing that was kept goes.
  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

# Letters and digits alone, so that it can stand in a URL as it is. Redis takes a password only with TLS.
resource "random_password" "redis" {
  count = var.encryption ? 1 : 0

  length  = 64
  special = false
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id = var.names.redis
  description          = "What is said in ${var.names.app}"

  engine               = "redis"
  engine_version       = "7.1"
  node_type            = var.node_type
  port                 = var.port
  parameter_group_name = aws_elasticache_parameter_group.this.name
  subnet_group_name    = aws_elasticache_subnet_group.this.name
  security_group_ids   = [var.security_group_id]

  num_cache_clusters         = var.num_nodes
  automatic_failover_enabled = var.num_nodes > 1
  multi_az_enabled           = var.num_nodes > 1

  at_rest_encryption_enabled = var.encryption
  transit_encryption_enabled = var.encryption
  transit_encryption_mode    = var.encryption ? "required" : null
  auth_token                 = var.encryption ? random_password.redis[0].result : null
  auth_token_update_strategy = var.encryption ? "ROTATE" : null # the old one is good until the next change: tasks that run go on

  snapshot_retention_limit  = var.snapshot_days
  snapshot_window           = "03:00-04:00"
  maintenance_window        = "sun:04:30-sun:05:30"
  final_snapshot_identifier = var.names.redis_last

  # A password that changes only at the next maintenance is one that the tasks' secret is not.
  apply_immediately = true
}
