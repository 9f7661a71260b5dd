variable "names" {
  description = "What the parts are called."
  type        = map(string)
}

variable "port" {
  description = "Where it listens, and where the tasks do."
  type        = number
}

variable "certificate_arn" {
  description = "The certificate for TLS; null: none."
  type        = string
}

variable "deregistration_secs" {
  description = "How long a task that has to go keeps its clients."
  type        = number
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Where it is."
  type        = list(string)
}

variable "security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "deletion_protection" {
  description = "Whether nobody may delete it."
  type        = bool
}
