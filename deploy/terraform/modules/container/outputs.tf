output "name" {
  description = "The container's name, for the load balancer."
  value       = local.container.name
}

output "definitions" {
  description = "The task's containers, as JSON."
  value       = jsonencode([local.container])
}
