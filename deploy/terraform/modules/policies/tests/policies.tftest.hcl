variables {
  partition        = "aws"
  region           = "us-west-2"
  account_id       = "123456789012"
  image_repository = { account = "210987654321", region = "us-west-2", name = "tcpchat" }
  secret_arn       = "arn:aws:secretsmanager:us-west-2:123456789012:secret:chat-journal-AbCdEf"
  log_group_arn    = "arn:aws:logs:us-west-2:123456789012:log-group:chat-log-group"
}

run "no_action_is_a_pattern" {
  command = plan

  assert {
    condition = alltrue([
      for statement in concat(jsondecode(output.execution).Statement, jsondecode(output.layers).Statement) :
      alltrue([for action in statement.Action : can(regex("^[a-z0-9]+:[A-Za-z]+$", action))])
    ])
    error_message = output.execution
  }
}

run "only_the_token_of_the_registry_is_for_all_resources" {
  command = plan

  assert {
    condition = jsonencode([
      for statement in jsondecode(output.execution).Statement : statement.Action if contains(statement.Resource, "*")
    ]) == jsonencode([["ecr:GetAuthorizationToken"]])
    error_message = output.execution
  }
}

run "it_reads_one_repository_one_secret_and_one_log_group" {
  command = plan

  assert {
    condition = jsonencode(sort(flatten([for statement in jsondecode(output.execution).Statement : statement.Resource]))) == jsonencode(sort([
      "*",
      "arn:aws:ecr:us-west-2:210987654321:repository/tcpchat",
      "arn:aws:secretsmanager:us-west-2:123456789012:secret:chat-journal-AbCdEf",
      "arn:aws:logs:us-west-2:123456789012:log-group:chat-log-group:*",
    ]))
    error_message = output.execution
  }
}

run "an_image_elsewhere_needs_nothing_of_ecr" {
  command = plan

  variables {
    image_repository = null
  }

  assert {
    condition     = !strcontains(output.execution, "ecr:") && length(jsondecode(output.execution).Statement) == 2
    error_message = output.execution
  }
}

run "only_tasks_of_ecs_take_the_roles" {
  command = plan

  assert {
    condition = alltrue([
      for trust in [jsondecode(output.execution_trust), jsondecode(output.task_trust)] :
      jsonencode(trust.Statement[*].Principal) == jsonencode([{ Service = ["ecs-tasks.amazonaws.com"] }])
    ])
    error_message = "${output.execution_trust} ${output.task_trust}"
  }

  assert {
    condition     = jsondecode(output.task_trust).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = output.task_trust
  }
}

run "of_s3_only_layers_are_read" {
  command = plan

  assert {
    condition     = jsonencode(jsondecode(output.layers).Statement[0].Resource) == jsonencode(["arn:aws:s3:::prod-us-west-2-starport-layer-bucket/*"])
    error_message = output.layers
  }
}

run "another_aws_has_another_first_word" {
  command = plan

  variables {
    partition = "aws-us-gov"
  }

  assert {
    condition     = !strcontains(output.execution, "arn:aws:ecr") && strcontains(output.execution, "arn:aws-us-gov:ecr")
    error_message = output.execution
  }
}
