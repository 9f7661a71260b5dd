variable "names" {
  description = "What the parts are called."
  type        = map(string)
}

variable "cluster_name" {
  description = "The cluster."
  type        = string
}

variable "service_name" {
  description = "The service."
  type        = string
}

variable "min_capacity" {
  description = "The fewest tasks."
  type        = number
}

variable "max_capacity" {
  description = "The most tasks."
  type        = number
}
