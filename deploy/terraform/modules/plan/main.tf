locals {
  names = {
    app             = var.app_name
    vpc             = "${var.app_name}-vpc"
    lb              = "${var.app_name}-lb"
    target_group    = "${var.app_name}-${var.app_port}"
    lb_group        = "${var.app_name}-lb-sg"
    task_group      = "${var.app_name}-task-sg"
    redis_group     = "${var.app_name}-redis-sg"
    endpoint_group  = "${var.app_name}-endpoint-sg"
    redis_subnets   = "${var.app_name}-subnet-group"
    redis_params    = "${var.app_name}-redis7"
    redis           = "${var.app_name}-rep-group-1"
    redis_last      = "${var.app_name}-final"
    journal_secret  = "${var.app_name}-journal-"
    cluster         = "${var.app_name}-cluster"
    service         = "${var.app_name}-service"
    task_role       = "${var.app_name}-task-role"
    execution_role  = "${var.app_name}-execution-role"
    execution_rules = "${var.app_name}-role-policy"
    log_group       = "${var.app_name}-log-group"
  }

  image = try(regex("^(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.amazonaws\\.com/(?P<name>[a-z0-9][a-z0-9._/-]*)(?::|@|$)", var.app_image), null)
}
