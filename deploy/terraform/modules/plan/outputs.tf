output "names" {
  description = "What the parts are called in AWS."
  value       = local.names
}

output "private_cidrs" {
  description = "The networks of the tasks and of Redis, one in each zone."
  value       = [for zone in range(var.zone_count) : cidrsubnet(var.vpc_cidr, 8, zone + 1)]
}

output "public_cidrs" {
  description = "The networks of the load balancer, one in each zone."
  value       = [for zone in range(var.zone_count) : cidrsubnet(var.vpc_cidr, 8, zone + 101)]
}

output "redis_port" {
  description = "Where Redis listens."
  value       = 6379
}

output "image_repository" {
  description = "Account, region and name of the image's repository in Amazon ECR; null: it is elsewhere."
  value       = local.image
}

output "deregistration_secs" {
  description = "How long a task that has to go keeps its clients while the load balancer learns to send it no new ones, which takes it two minutes."
  value       = 150
}

output "stop_timeout_secs" {
  description = "How long a task has between SIGTERM and SIGKILL; the server ends within two seconds of the first."
  value       = 30
}
