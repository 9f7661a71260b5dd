variable "names" {
  description = "What the parts are called."
  type        = map(string)
}

variable "container_name" {
  description = "The container that listens."
  type        = string
}

variable "container_definitions" {
  description = "The task's containers, as JSON."
  type        = string
}

variable "port" {
  description = "Where it listens."
  type        = number
}

variable "cpu" {
  description = "CPU units of a task."
  type        = number
}

variable "memory" {
  description = "Memory of a task, MiB."
  type        = number
}

variable "cpu_architecture" {
  description = "X86_64 or ARM64."
  type        = string
}

variable "desired_count" {
  description = "With how many tasks it begins."
  type        = number
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "task_trust" {
  description = "Who may be the server."
  type        = string
}

variable "execution_trust" {
  description = "Who may be what starts a task."
  type        = string
}

variable "execution_policy" {
  description = "What it may do."
  type        = string
}

variable "subnet_ids" {
  description = "Where tasks are."
  type        = list(string)
}

variable "security_group_id" {
  description = "Who may connect to them."
  type        = string
}

variable "target_group_arn" {
  description = "Where the load balancer looks for them."
  type        = string
}

variable "reachable" {
  description = "What has to be there before a task can start: its ways to AWS' services."
  type        = list(string)
}
