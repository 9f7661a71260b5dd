variable "name" {
  description = "The container's name."
  type        = string
}

variable "image" {
  description = "Its image."
  type        = string
}

variable "port" {
  description = "Where the server listens."
  type        = number
}

variable "environment" {
  description = "More environment variables of the server; no secrets."
  type        = map(string)
}

variable "journal_secret" {
  description = "Which version of which secret has the journal's URL, as ECS wants it: ARN:::VERSION."
  type        = string
}

variable "open_files" {
  description = "Open files that the server may have."
  type        = number
}

variable "stop_timeout_secs" {
  description = "How long it has to end; Fargate allows 120."
  type        = number

  validation {
    condition     = var.stop_timeout_secs >= 2 && var.stop_timeout_secs <= 120
    error_message = "stop_timeout_secs has to be from 2 to 120."
  }
}

variable "log_group" {
  description = "Where its log goes."
  type        = string
}

variable "region" {
  description = "The region of that log group."
  type        = string
}
