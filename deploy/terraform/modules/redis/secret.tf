# The journal's URL has the password in it: tasks get it as a secret, and their definition names only its ARN and version.

locals {
  host = aws_elasticache_replication_group.this.primary_endpoint_address
  url  = var.encryption ? "rediss://:${random_password.redis[0].result}@${local.host}:${var.port}" : "redis://${local.host}:${var.port}"
}

# A prefix, because the name of a secret that was deleted is taken for weeks.
resource "aws_secretsmanager_secret" "journal" {
  name_prefix = var.names.journal_secret
  description = "The URL of the journal of ${var.names.app}"
}

resource "aws_secretsmanager_secret_version" "journal" {
  secret_id     = aws_secretsmanager_secret.journal.id
  secret_string = local.url
}
