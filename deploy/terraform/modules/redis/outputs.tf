output "endpoint" {
  description = "The primary node, without its port."
  value       = local.host
}

output "secret_arn" {
  description = "The secret, for who may read it."
  value       = aws_secretsmanager_secret.journal.arn
}

# With the version, so that a new password is a new task definition, and tasks are replaced.
output "journal_secret" {
  description = "The version of the secret, as ECS wants it."
  value       = "${aws_secretsmanager_secret.journal.arn}:::${aws_secretsmanager_secret_version.journal.version_id}"
}
