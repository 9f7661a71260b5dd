output "dns_name" {
  description = "Its name."
  value       = aws_lb.this.dns_name
}

# Not before the listener is there: ECS takes no group that belongs to no load balancer.
output "target_group_arn" {
  description = "Where tasks are entered."
  value       = aws_lb_target_group.this.arn
  depends_on  = [aws_lb_listener.this]
}
