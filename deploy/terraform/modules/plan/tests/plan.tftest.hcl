variables {
  region                    = "us-west-2"
  app_name                  = "go-tcp-random-chat"
  app_port                  = 8888
  app_image                 = "123456789012.dkr.ecr.us-west-2.amazonaws.com/tcpchat/server:1.0"
  app_environment_variables = {}
  cpu_architecture          = "X86_64"
  task_cpu                  = 256
  task_memory               = 512
  open_files                = 65536
  redis_node_type           = "cache.t4g.micro"
  redis_num_nodes           = 1
  redis_snapshot_days       = 7
  min_capacity              = 1
  max_capacity              = 3
  certificate_arn           = null
  allowed_cidrs             = ["0.0.0.0/0"]
  vpc_cidr                  = "10.0.0.0/16"
  zone_count                = 3
  nat_gateway               = false
  log_retention_days        = 30
}

run "networks_have_the_numbers_that_they_always_had" {
  command = plan

  assert {
    condition     = jsonencode(output.private_cidrs) == jsonencode(["10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"])
    error_message = "private networks: ${jsonencode(output.private_cidrs)}"
  }

  assert {
    condition     = jsonencode(output.public_cidrs) == jsonencode(["10.0.101.0/24", "10.0.102.0/24", "10.0.103.0/24"])
    error_message = "public networks: ${jsonencode(output.public_cidrs)}"
  }
}

run "a_smaller_network_is_divided_too" {
  command = plan

  variables {
    vpc_cidr   = "172.20.16.0/20"
    zone_count = 2
  }

  assert {
    condition     = length(distinct(concat(output.private_cidrs, output.public_cidrs))) == 4
    error_message = "networks overlap: ${jsonencode(concat(output.private_cidrs, output.public_cidrs))}"
  }

  # AWS has no networks below /28.
  assert {
    condition     = alltrue([for cidr in concat(output.private_cidrs, output.public_cidrs) : endswith(cidr, "/28")])
    error_message = "not of 16 addresses: ${jsonencode(output.private_cidrs)}"
  }
}

run "names_are_short_enough_for_the_longest_name" {
  command = plan

  variables {
    app_name = "abcdefghijklmnopqrstuvwx"
    app_port = 65535
  }

  assert {
    condition     = length(output.names.lb) <= 32 && length(output.names.target_group) <= 32
    error_message = "a load balancer's names have at most 32 characters: ${output.names.lb}, ${output.names.target_group}"
  }

  assert {
    condition     = length(output.names.redis) <= 40
    error_message = "Redis' name has at most 40 characters: ${output.names.redis}"
  }

  assert {
    condition     = length(distinct(values(output.names))) == length(output.names)
    error_message = "two parts have one name"
  }
}

run "an_image_in_ecr_is_known_by_its_repository" {
  command = plan

  assert {
    condition     = output.image_repository.account == "123456789012" && output.image_repository.region == "us-west-2" && output.image_repository.name == "tcpchat/server"
    error_message = jsonencode(output.image_repository)
  }
}

run "an_image_may_be_named_by_its_digest" {
  command = plan

  variables {
    app_image = "123456789012.dkr.ecr.us-west-2.amazonaws.com/tcpchat@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  }

  assert {
    condition     = output.image_repository.name == "tcpchat"
    error_message = jsonencode(output.image_repository)
  }
}

run "with_nat_an_image_may_be_anywhere" {
  command = plan

  variables {
    app_image   = "example/tcpchat:1.0"
    nat_gateway = true
  }

  assert {
    condition     = output.image_repository == null
    error_message = "an image that is not in ECR has a repository there"
  }
}

run "a_task_that_goes_has_time" {
  command = plan

  assert {
    condition     = output.stop_timeout_secs > 2 && output.stop_timeout_secs <= 120 && output.deregistration_secs > 120 && output.deregistration_secs <= 3600
    error_message = "times out of range"
  }
}

run "without_nat_an_image_elsewhere_is_refused" {
  command = plan

  variables {
    app_image = "example/tcpchat:1.0"
  }

  expect_failures = [var.app_image]
}

run "without_nat_an_image_in_another_region_is_refused" {
  command = plan

  variables {
    app_image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/tcpchat:1.0"
  }

  expect_failures = [var.app_image]
}

run "a_region_without_a_number_is_refused" {
  command = plan

  variables {
    region      = "us-west"
    nat_gateway = true
  }

  expect_failures = [var.region]
}

run "a_name_with_capitals_is_refused" {
  command = plan

  variables {
    app_name = "Chat"
  }

  expect_failures = [var.app_name]
}

run "a_name_with_two_hyphens_in_a_row_is_refused" {
  command = plan

  variables {
    app_name = "random--chat"
  }

  expect_failures = [var.app_name]
}

run "a_name_that_is_too_long_is_refused" {
  command = plan

  variables {
    app_name = "abcdefghijklmnopqrstuvwxy"
  }

  expect_failures = [var.app_name]
}

run "a_name_that_aws_keeps_is_refused" {
  command = plan

  variables {
    app_name = "internal-chat"
  }

  expect_failures = [var.app_name]
}

run "a_name_that_is_no_name_of_a_security_group_is_refused" {
  command = plan

  variables {
    app_name = "sg-chat"
  }

  expect_failures = [var.app_name]
}

run "a_port_of_root_is_refused" {
  command = plan

  variables {
    app_port = 443
  }

  expect_failures = [var.app_port]
}

run "a_port_above_the_last_is_refused" {
  command = plan

  variables {
    app_port = 65536
  }

  expect_failures = [var.app_port]
}

run "the_journal_is_not_set_twice" {
  command = plan

  variables {
    app_environment_variables = { CHAT_JOURNAL = "memory" }
  }

  expect_failures = [var.app_environment_variables]
}

run "a_url_with_a_password_is_no_plain_variable" {
  command = plan

  variables {
    app_environment_variables = { RABBITMQ_URL = "amqp://user:word@example.org" }
  }

  expect_failures = [var.app_environment_variables]
}

run "other_options_of_the_server_are_taken" {
  command = plan

  variables {
    app_environment_variables = { CHAT_ROOMS = "closed", CHAT_ALLOW_ORIGIN = "https://example.org:8443" }
  }
}

run "fargate_lacks_a_small_task_with_much_memory" {
  command = plan

  variables {
    task_memory = 4096
  }

  expect_failures = [var.task_memory]
}

run "fargate_has_a_large_task" {
  command = plan

  variables {
    task_cpu    = 4096
    task_memory = 30720
  }
}

run "an_unknown_size_of_task_is_refused" {
  command = plan

  variables {
    task_cpu    = 300
    task_memory = 512
  }

  expect_failures = [var.task_cpu]
}

run "an_unknown_architecture_is_refused" {
  command = plan

  variables {
    cpu_architecture = "amd64"
  }

  expect_failures = [var.cpu_architecture]
}

run "too_few_open_files_are_refused" {
  command = plan

  variables {
    open_files = 64
  }

  expect_failures = [var.open_files]
}

run "redis_needs_a_kind_of_node" {
  command = plan

  variables {
    redis_node_type = "t4g.micro"
  }

  expect_failures = [var.redis_node_type]
}

run "redis_needs_a_node" {
  command = plan

  variables {
    redis_num_nodes = 0
  }

  expect_failures = [var.redis_num_nodes]
}

run "redis_has_six_nodes_at_most" {
  command = plan

  variables {
    redis_num_nodes = 7
  }

  expect_failures = [var.redis_num_nodes]
}

run "snapshots_are_kept_35_days_at_most" {
  command = plan

  variables {
    redis_snapshot_days = 36
  }

  expect_failures = [var.redis_snapshot_days]
}

run "no_task_at_all_is_refused" {
  command = plan

  variables {
    min_capacity = 0
  }

  expect_failures = [var.min_capacity]
}

run "the_most_are_not_fewer_than_the_fewest" {
  command = plan

  variables {
    min_capacity = 4
  }

  expect_failures = [var.max_capacity]
}

run "a_certificate_of_another_region_is_refused" {
  command = plan

  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/0"
  }

  expect_failures = [var.certificate_arn]
}

run "a_certificate_of_this_region_is_taken" {
  command = plan

  variables {
    certificate_arn = "arn:aws:acm:us-west-2:123456789012:certificate/0"
  }
}

run "somebody_has_to_be_allowed" {
  command = plan

  variables {
    allowed_cidrs = []
  }

  expect_failures = [var.allowed_cidrs]
}

run "an_address_is_no_network" {
  command = plan

  variables {
    allowed_cidrs = ["203.0.113.7"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "a_network_too_small_to_be_divided_is_refused" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "a_load_balancer_has_two_zones" {
  command = plan

  variables {
    zone_count = 1
  }

  expect_failures = [var.zone_count]
}

run "logs_are_kept_as_long_as_cloudwatch_has_it" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}
