resource "aws_lb" "this" {
  name                             = var.names.lb
  load_balancer_type               = "network"
  internal                         = false
  subnets                          = var.subnet_ids
  security_groups                  = [var.security_group_id]
  enable_cross_zone_load_balancing = true # one task serves all zones
  enable_deletion_protection       = var.deletion_protection
}

resource "aws_lb_target_group" "this" {
  name        = var.names.target_group
  port        = var.port
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = var.vpc_id

  # The server counts clients by address (--max-per-address) and logs it.
  preserve_client_ip = true

  # Any task will do for anybody, since all read one journal: no stickiness. Who must leave is told by the server, not cut off.
  deregistration_delay   = var.deregistration_secs
  connection_termination = false

  # While Redis is away no server is ready, and all keep their clients: this must not cut them off.
  target_health_state {
    enable_unhealthy_connection_termination = false
  }

  # Ten failures of ten seconds: ECS replaces a task that is not ready, and Redis may need a minute to change its primary.
  health_check {
    protocol            = "HTTP"
    path                = "/readyz"
    port                = "traffic-port"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 10
  }

  # Another port means another group, which must be there before the listener lets go of this one.
  lifecycle {
    create_before_destroy = true
  }
}

# Idle connections are forgotten after 350 seconds; the server looks after silent ones sooner (--peer-timeout, 60 seconds).
resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = var.port
  protocol          = var.certificate_arn == null ? "TCP" : "TLS"
  certificate_arn   = var.certificate_arn
  ssl_policy        = var.certificate_arn == null ? null : "ELBSecurityPolicy-TLS13-1-2-2021-06"
  alpn_policy       = var.certificate_arn == null ? null : "HTTP2Optional" # gRPC offers HTTP/2 alone; browsers get HTTP/1.1

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}
