# From names to numbers in modules/plan, then network, Redis, load balancer, service, autoscaling: each knows those before it.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  # No local zones: they lack services.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

module "plan" {
  source = "./modules/plan"

  region                    = var.region
  app_name                  = var.app_name
  app_port                  = var.app_port
  app_image                 = var.app_image
  app_environment_variables = var.app_environment_variables
  cpu_architecture          = var.cpu_architecture
  task_cpu                  = var.task_cpu
  task_memory               = var.task_memory
  open_files                = var.open_files
  redis_node_type           = var.redis_node_type
  redis_num_nodes           = var.redis_num_nodes
  redis_snapshot_days       = var.redis_snapshot_days
  min_capacity              = var.min_capacity
  max_capacity              = var.max_capacity
  certificate_arn           = var.certificate_arn
  allowed_cidrs             = var.allowed_cidrs
  vpc_cidr                  = var.vpc_cidr
  zone_count                = var.zone_count
  nat_gateway               = var.nat_gateway
  log_retention_days        = var.log_retention_days
}

module "policies" {
  source = "./modules/policies"

  partition        = data.aws_partition.current.partition
  region           = var.region
  account_id       = data.aws_caller_identity.current.account_id
  image_repository = module.plan.image_repository
  secret_arn       = module.redis.secret_arn
  log_group_arn    = module.service.log_group_arn
}

module "network" {
  source = "./modules/network"

  names         = module.plan.names
  region        = var.region
  vpc_cidr      = var.vpc_cidr
  zones         = slice(data.aws_availability_zones.available.names, 0, var.zone_count)
  private_cidrs = module.plan.private_cidrs
  public_cidrs  = module.plan.public_cidrs
  app_port      = var.app_port
  redis_port    = module.plan.redis_port
  allowed_cidrs = var.allowed_cidrs
  nat_gateway   = var.nat_gateway
  layers_policy = module.policies.layers
}

module "redis" {
  source = "./modules/redis"

  names             = module.plan.names
  node_type         = var.redis_node_type
  num_nodes         = var.redis_num_nodes
  port              = module.plan.redis_port
  encryption        = var.redis_encryption
  snapshot_days     = var.redis_snapshot_days
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.redis_security_group_id
}

module "balancer" {
  source = "./modules/balancer"

  names               = module.plan.names
  port                = var.app_port
  certificate_arn     = var.certificate_arn
  deregistration_secs = module.plan.deregistration_secs
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.public_subnet_ids
  security_group_id   = module.network.lb_security_group_id
  deletion_protection = var.deletion_protection
}

module "container" {
  source = "./modules/container"

  name              = var.app_name
  image             = var.app_image
  port              = var.app_port
  environment       = var.app_environment_variables
  journal_secret    = module.redis.journal_secret
  open_files        = var.open_files
  stop_timeout_secs = module.plan.stop_timeout_secs
  log_group         = module.plan.names.log_group
  region            = var.region
}

module "service" {
  source = "./modules/service"

  names                 = module.plan.names
  container_name        = module.container.name
  container_definitions = module.container.definitions
  port                  = var.app_port
  cpu                   = var.task_cpu
  memory                = var.task_memory
  cpu_architecture      = var.cpu_architecture
  desired_count         = var.min_capacity
  log_retention_days    = var.log_retention_days
  task_trust            = module.policies.task_trust
  execution_trust       = module.policies.execution_trust
  execution_policy      = module.policies.execution
  subnet_ids            = module.network.private_subnet_ids
  security_group_id     = module.network.task_security_group_id
  target_group_arn      = module.balancer.target_group_arn
  reachable             = module.network.endpoint_ids
}

module "autoscale" {
  source = "./modules/autoscale"

  names        = module.plan.names
  cluster_name = module.service.cluster_name
  service_name = module.service.service_name
  min_capacity = var.min_capacity
  max_capacity = var.max_capacity
}
