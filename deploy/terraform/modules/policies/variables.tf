variable "partition" {
  description = "The first word of ARNs: aws, or that of another AWS."
  type        = string
}

variable "region" {
  description = "The region."
  type        = string
}

variable "account_id" {
  description = "The account."
  type        = string
}

variable "image_repository" {
  description = "Account, region and name of the image's repository in Amazon ECR; null: it is elsewhere."
  type        = object({ account = string, region = string, name = string })
}

variable "secret_arn" {
  description = "The secret with the journal's URL."
  type        = string
}

variable "log_group_arn" {
  description = "Where the server's log goes."
  type        = string
}
