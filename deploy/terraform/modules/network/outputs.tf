output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "private_subnet_ids" {
  description = "For tasks and Redis."
  value       = aws_subnet.private[*].id
}

# Not before there is a way to the internet: a load balancer there needs it.
output "public_subnet_ids" {
  description = "For the load balancer."
  value       = aws_subnet.public[*].id
  depends_on  = [aws_route.internet]
}

output "lb_security_group_id" {
  description = "The load balancer's."
  value       = aws_security_group.lb.id
}

output "task_security_group_id" {
  description = "The tasks'."
  value       = aws_security_group.task.id
}

output "redis_security_group_id" {
  description = "Redis'."
  value       = aws_security_group.redis.id
}

output "endpoint_ids" {
  description = "What a task needs before it starts."
  value       = concat(values(aws_vpc_endpoint.interface)[*].id, aws_route.nat[*].id, [aws_vpc_endpoint.s3.id])
}
