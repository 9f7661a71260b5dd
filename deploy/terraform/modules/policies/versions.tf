# No provider: this module computes, so that it is tested without a cloud.
terraform {
  required_version = ">= 1.9.0, < 2.0.0"
}
