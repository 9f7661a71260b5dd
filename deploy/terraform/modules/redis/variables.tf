variable "names" {
  description = "What the parts are called."
  type        = map(string)
}

variable "node_type" {
  description = "The kind of node."
  type        = string
}

variable "num_nodes" {
  description = "Nodes; from two on another one takes over when the first fails."
  type        = number
}

variable "port" {
  description = "Where Redis listens."
  type        = number
}

variable "encryption" {
  description = "TLS and a password, and encryption at rest."
  type        = bool
}

variable "snapshot_days" {
  description = "How many daily snapshots are kept."
  type        = number
}

variable "subnet_ids" {
  description = "Where the nodes are."
  type        = list(string)
}

variable "security_group_id" {
  description = "Who may connect."
  type        = string
}
