# What may be chosen. The rules about these values are in modules/plan, where they are tested without a cloud.

variable "region" {
  description = "The AWS region, as in us-west-2."
  type        = string
  default     = "ap-northeast-2"
}

variable "aws_access_key" {
  description = "The access key; null: the provider's usual chain finds one."
  type        = string
  default     = null
  sensitive   = true
}

variable "aws_secret_key" {
  description = "The secret of the access key; null: the provider's usual chain finds one."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = (var.aws_access_key == null) == (var.aws_secret_key == null)
    error_message = "Give aws_access_key and aws_secret_key together, or neither of them."
  }
}

variable "app_name" {
  description = "What everything is named after: small letters, digits and single hyphens, at most 24 of them."
  type        = string
}

variable "app_port" {
  description = "The port of the load balancer, and of the server in its container."
  type        = number
  default     = 8888
}

variable "app_image" {
  description = "The image of the server. Without nat_gateway it has to be in Amazon ECR in the same region."
  type        = string
}

variable "app_environment_variables" {
  description = "More options of the server, as CHAT_ROOMS = \"closed\". No secrets: they can be read in the task definition."
  type        = map(string)
  default     = {}
}

variable "cpu_architecture" {
  description = "What the image was built for: X86_64 or ARM64."
  type        = string
  default     = "X86_64"
}

variable "task_cpu" {
  description = "CPU units of one task; 1024 are one virtual CPU."
  type        = number
  default     = 256
}

variable "task_memory" {
  description = "Memory of one task, MiB."
  type        = number
  default     = 512
}

variable "open_files" {
  description = "Open files that one task may have; each client takes one."
  type        = number
  default     = 65536
}

variable "redis_node_type" {
  description = "The kind of machine that Redis runs on."
  type        = string
  default     = "cache.t4g.micro"
}

variable "redis_num_nodes" {
  description = "Nodes of Redis; with two or more another one takes over when the first fails."
  type        = number
  default     = 1
}

variable "redis_encryption" {
  description = "Encrypt Redis on the wire and at rest, and protect it with a password. To change it later means a new, empty Redis."
  type        = bool
  default     = true
}

variable "redis_snapshot_days" {
  description = "How many daily snapshots of Redis are kept; 0: none."
  type        = number
  default     = 7
}

variable "min_capacity" {
  description = "The fewest tasks that run."
  type        = number
  default     = 1
}

variable "max_capacity" {
  description = "The most tasks that run."
  type        = number
  default     = 3
}

variable "certificate_arn" {
  description = "A certificate in AWS Certificate Manager: clients then talk TLS to the load balancer. null: they do not."
  type        = string
  default     = null
}

variable "allowed_cidrs" {
  description = "Who may connect, as IPv4 networks."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "vpc_cidr" {
  description = "The addresses of the private network."
  type        = string
  default     = "10.0.0.0/16"
}

variable "zone_count" {
  description = "In how many availability zones everything is: 2 or 3."
  type        = number
  default     = 2
}

variable "nat_gateway" {
  description = "Give tasks a way to the internet, for images outside Amazon ECR; otherwise they reach AWS' services, and nothing else."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
}

variable "deletion_protection" {
  description = "Let nobody, Terraform included, delete the load balancer before this is false again."
  type        = bool
  default     = false
}
