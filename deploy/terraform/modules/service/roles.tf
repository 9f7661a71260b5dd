# Two roles: what ECS may do to start a task, and what the server itself may do, which is nothing.

resource "aws_iam_role" "execution" {
  name               = var.names.execution_role
  description        = "Starts tasks of ${var.names.app}"
  assume_role_policy = var.execution_trust
}

resource "aws_iam_role_policy" "execution" {
  name   = var.names.execution_rules
  role   = aws_iam_role.execution.id
  policy = var.execution_policy
}

resource "aws_iam_role" "task" {
  name               = var.names.task_role
  description        = "Is the server of ${var.names.app}, and needs no rights"
  assume_role_policy = var.task_trust
}
