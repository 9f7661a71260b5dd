locals {
  pull = var.image_repository == null ? [] : [
    {
      # This action knows no resources.
      Sid      = "EnterTheRegistry"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"]
      Resource = ["*"]
    },
    {
      Sid      = "PullTheImage"
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = ["arn:${var.partition}:ecr:${var.image_repository.region}:${var.image_repository.account}:repository/${var.image_repository.name}"]
    },
  ]

  trust = {
    Effect    = "Allow"
    Action    = ["sts:AssumeRole"]
    Principal = { Service = ["ecs-tasks.amazonaws.com"] }
  }

  # Only for tasks of this account.
  own_tasks = {
    StringEquals = { "aws:SourceAccount" = var.account_id }
    ArnLike      = { "aws:SourceArn" = "arn:${var.partition}:ecs:${var.region}:${var.account_id}:*" }
  }
}
