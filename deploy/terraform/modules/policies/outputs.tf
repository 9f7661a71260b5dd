output "execution" {
  description = "What starts a task may: pull its image, read its secret, write its log."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.pull, [
      {
        Sid      = "ReadTheJournalsAddress"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [var.secret_arn]
      },
      {
        Sid      = "WriteTheLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${var.log_group_arn}:*"]
      },
    ])
  })
}

output "execution_trust" {
  description = "Who may be what starts a task."
  value       = jsonencode({ Version = "2012-10-17", Statement = [local.trust] })
}

output "task_trust" {
  description = "Who may be the server; it has no rights at all."
  value       = jsonencode({ Version = "2012-10-17", Statement = [merge(local.trust, { Condition = local.own_tasks })] })
}

output "layers" {
  description = "What may be read from Amazon S3: the layers of images in Amazon ECR."
  value = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ReadLayers"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:GetObject"]
      Resource  = ["arn:${var.partition}:s3:::prod-${var.region}-starport-layer-bucket/*"]
    }]
  })
}
