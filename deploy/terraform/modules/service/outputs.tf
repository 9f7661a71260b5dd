output "cluster_name" {
  description = "The cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "The service."
  value       = aws_ecs_service.this.name
}

output "log_group_arn" {
  description = "Where the server's log goes."
  value       = aws_cloudwatch_log_group.this.arn
}
