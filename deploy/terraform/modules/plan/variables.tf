# The same names as at the top, where they have their descriptions and defaults; here are the rules.

variable "region" {
  type = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region is not the name of a region, such as us-west-2."
  }
}

variable "app_name" {
  type = string

  # A load balancer's name has at most 32 characters, and Redis' may not have two hyphens in a row; the names made of this one fit.
  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.app_name)) && length(var.app_name) <= 24
    error_message = "app_name has to start with a small letter and have small letters, digits and single hyphens, at most 24 of them."
  }

  validation {
    condition     = !startswith(var.app_name, "internal-") && !startswith(var.app_name, "sg-")
    error_message = "app_name must not start with internal- or sg-, which AWS keeps for itself."
  }
}

variable "app_port" {
  type = number

  # The server is no root in its container.
  validation {
    condition     = var.app_port >= 1024 && var.app_port <= 65535 && floor(var.app_port) == var.app_port
    error_message = "app_port has to be a whole number from 1024 to 65535."
  }
}

variable "app_image" {
  type = string

  validation {
    condition     = can(regex("^[^[:space:]]+$", var.app_image))
    error_message = "app_image is empty or has spaces in it."
  }

  validation {
    condition     = var.nat_gateway || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.${var.region}\\.amazonaws\\.com/", var.app_image))
    error_message = "app_image is not in Amazon ECR in ${var.region}: tasks cannot reach it. Push it there, or set nat_gateway = true."
  }
}

variable "app_environment_variables" {
  type = map(string)

  validation {
    condition     = length(setintersection(keys(var.app_environment_variables), ["APP_PORT", "CHAT_JOURNAL", "CHAT_LISTEN", "REDIS_ADDRESS"])) == 0
    error_message = "app_environment_variables must not set where the server listens, nor its journal: app_port and Redis here do."
  }

  validation {
    condition     = alltrue([for name in keys(var.app_environment_variables) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name))])
    error_message = "app_environment_variables has a name that is no name of an environment variable."
  }

  validation {
    condition     = !anytrue([for value in values(var.app_environment_variables) : can(regex("://[^/]*:[^/]*@", value))])
    error_message = "app_environment_variables has a URL with a password in it, which everybody who may read the task definition would see."
  }
}

variable "cpu_architecture" {
  type = string

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture has to be X86_64 or ARM64."
  }
}

variable "task_cpu" {
  type = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.task_cpu)
    error_message = "task_cpu has to be 256, 512, 1024, 2048 or 4096."
  }
}

variable "task_memory" {
  type = number

  # What Fargate has: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
  validation {
    condition = contains(lookup({
      "256"  = [512, 1024, 2048]
      "512"  = range(1024, 4097, 1024)
      "1024" = range(2048, 8193, 1024)
      "2048" = range(4096, 16385, 1024)
      "4096" = range(8192, 30721, 1024)
    }, var.task_cpu, []), var.task_memory)
    error_message = "Fargate has no tasks with task_memory = ${var.task_memory} and task_cpu = ${var.task_cpu}."
  }
}

variable "open_files" {
  type = number

  validation {
    condition     = var.open_files >= 1024 && var.open_files <= 1048576 && floor(var.open_files) == var.open_files
    error_message = "open_files has to be a whole number from 1024 to 1048576."
  }
}

variable "redis_node_type" {
  type = string

  validation {
    condition     = can(regex("^cache\\.[a-z0-9-]+\\.[a-z0-9]+$", var.redis_node_type))
    error_message = "redis_node_type is no kind of node, such as cache.t4g.micro."
  }
}

variable "redis_num_nodes" {
  type = number

  validation {
    condition     = var.redis_num_nodes >= 1 && var.redis_num_nodes <= 6 && floor(var.redis_num_nodes) == var.redis_num_nodes
    error_message = "redis_num_nodes has to be a whole number from 1 to 6."
  }
}

variable "redis_snapshot_days" {
  type = number

  validation {
    condition     = var.redis_snapshot_days >= 0 && var.redis_snapshot_days <= 35 && floor(var.redis_snapshot_days) == var.redis_snapshot_days
    error_message = "redis_snapshot_days has to be a whole number from 0 to 35."
  }
}

variable "min_capacity" {
  type = number

  validation {
    condition     = var.min_capacity >= 1 && floor(var.min_capacity) == var.min_capacity
    error_message = "min_capacity has to be a whole number, and at least 1."
  }
}

variable "max_capacity" {
  type = number

  validation {
    condition     = var.max_capacity >= var.min_capacity && floor(var.max_capacity) == var.max_capacity
    error_message = "max_capacity has to be a whole number, and at least min_capacity."
  }
}

variable "certificate_arn" {
  type = string

  validation {
    condition     = var.certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:${var.region}:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "certificate_arn has to name a certificate of AWS Certificate Manager in ${var.region}, or be null."
  }
}

variable "allowed_cidrs" {
  type = list(string)

  validation {
    condition     = length(var.allowed_cidrs) > 0 && alltrue([for cidr in var.allowed_cidrs : can(cidrnetmask(cidr))])
    error_message = "allowed_cidrs has to be a list of IPv4 networks, such as [\"203.0.113.0/24\"], and not empty."
  }
}

variable "vpc_cidr" {
  type = string

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && can(regex("/(16|17|18|19|20)$", var.vpc_cidr))
    error_message = "vpc_cidr has to be an IPv4 network from /16 to /20."
  }
}

variable "zone_count" {
  type = number

  validation {
    condition     = contains([2, 3], var.zone_count)
    error_message = "zone_count has to be 2 or 3."
  }
}

variable "nat_gateway" {
  type = bool
}

variable "log_retention_days" {
  type = number

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days has to be one that CloudWatch has: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, ..., 3653."
  }
}
