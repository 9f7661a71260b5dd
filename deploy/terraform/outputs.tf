output "endpoint" {
  description = "Where clients connect: the load balancer's name and port."
  value       = "${module.balancer.dns_name}:${var.app_port}"
}

output "lb_dns_name" {
  description = "The load balancer's name; a name of your own, for a certificate, is an alias of it."
  value       = module.balancer.dns_name
}

output "redis_endpoint" {
  description = "The primary node of Redis, without its port; only the tasks reach it."
  value       = module.redis.endpoint
}

output "vpc_id" {
  description = "The private network."
  value       = module.network.vpc_id
}

output "private_subnet_ids" {
  description = "Where the tasks and Redis are."
  value       = module.network.private_subnet_ids
}

output "cluster_name" {
  description = "The ECS cluster."
  value       = module.service.cluster_name
}

output "service_name" {
  description = "The ECS service."
  value       = module.service.service_name
}

output "log_group" {
  description = "The server's log: aws logs tail NAME --follow."
  value       = module.plan.names.log_group
}
