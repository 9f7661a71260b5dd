provider "aws" {
  region = var.region

  # Without these the provider looks where it always does: environment, ~/.aws, single sign-on, the role of the machine.
  access_key = var.aws_access_key
  secret_key = var.aws_secret_key

  default_tags {
    tags = {
      Application = var.app_name
      ManagedBy   = "terraform"
    }
  }
}
