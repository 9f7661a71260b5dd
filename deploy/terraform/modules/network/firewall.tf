# Who may talk to whom: people to the load balancer, it to the tasks, they to Redis and to AWS' services. Nothing else.

resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.names.vpc}-closed" }
}

resource "aws_security_group" "lb" {
  name        = var.names.lb_group
  description = "The load balancer"
  vpc_id      = aws_vpc.this.id

  tags = { Name = var.names.lb_group }
}

resource "aws_security_group" "task" {
  name        = var.names.task_group
  description = "The tasks"
  vpc_id      = aws_vpc.this.id

  tags = { Name = var.names.task_group }
}

resource "aws_security_group" "redis" {
  name        = var.names.redis_group
  description = "Redis"
  vpc_id      = aws_vpc.this.id

  tags = { Name = var.names.redis_group }
}

resource "aws_security_group" "endpoint" {
  name        = var.names.endpoint_group
  description = "The endpoints of the services of AWS"
  vpc_id      = aws_vpc.this.id

  tags = { Name = var.names.endpoint_group }
}

resource "aws_vpc_security_group_ingress_rule" "lb_people" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.lb.id
  description       = "People"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = var.app_port
  to_port           = var.app_port
}

# Health checks, too: they ask the same port.
resource "aws_vpc_security_group_egress_rule" "lb_task" {
  security_group_id            = aws_security_group.lb.id
  description                  = "The tasks"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = var.app_port
  to_port                      = var.app_port
}

resource "aws_vpc_security_group_ingress_rule" "task_lb" {
  security_group_id            = aws_security_group.task.id
  description                  = "The load balancer"
  referenced_security_group_id = aws_security_group.lb.id
  ip_protocol                  = "tcp"
  from_port                    = var.app_port
  to_port                      = var.app_port
}

resource "aws_vpc_security_group_egress_rule" "task_redis" {
  security_group_id            = aws_security_group.task.id
  description                  = "Redis"
  referenced_security_group_id = aws_security_group.redis.id
  ip_protocol                  = "tcp"
  from_port                    = var.redis_port
  to_port                      = var.redis_port
}

resource "aws_vpc_security_group_ingress_rule" "redis_task" {
  security_group_id            = aws_security_group.redis.id
  description                  = "The tasks"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = var.redis_port
  to_port                      = var.redis_port
}

resource "aws_vpc_security_group_egress_rule" "task_endpoint" {
  security_group_id            = aws_security_group.task.id
  description                  = "The services of AWS"
  referenced_security_group_id = aws_security_group.endpoint.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "endpoint_task" {
  security_group_id            = aws_security_group.endpoint.id
  description                  = "The tasks"
  referenced_security_group_id = aws_security_group.task.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_egress_rule" "task_s3" {
  security_group_id = aws_security_group.task.id
  description       = "Layers of the image"
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "task_internet" {
  count = var.nat_gateway ? 1 : 0

  security_group_id = aws_security_group.task.id
  description       = "Registries of images"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
