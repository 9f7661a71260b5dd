variable "names" {
  description = "What the parts are called."
  type        = map(string)
}

variable "region" {
  description = "The region, for the names of AWS' services."
  type        = string
}

variable "vpc_cidr" {
  description = "The addresses of the whole network."
  type        = string
}

variable "zones" {
  description = "The availability zones."
  type        = list(string)
}

variable "private_cidrs" {
  description = "The networks without a way in from the internet, one in each zone."
  type        = list(string)
}

variable "public_cidrs" {
  description = "The networks of the load balancer, one in each zone."
  type        = list(string)
}

variable "app_port" {
  description = "Where the server listens."
  type        = number
}

variable "redis_port" {
  description = "Where Redis listens."
  type        = number
}

variable "allowed_cidrs" {
  description = "Who may connect to the load balancer."
  type        = list(string)
}

variable "nat_gateway" {
  description = "A NAT gateway instead of endpoints."
  type        = bool
}

variable "layers_policy" {
  description = "What may be read from Amazon S3."
  type        = string
}
