variables {
  name              = "chat"
  image             = "123456789012.dkr.ecr.us-west-2.amazonaws.com/tcpchat:1.0"
  port              = 8888
  environment       = { CHAT_ROOMS = "closed" }
  journal_secret    = "arn:aws:secretsmanager:us-west-2:123456789012:secret:chat-journal-AbCdEf:::0123"
  open_files        = 65536
  stop_timeout_secs = 30
  log_group         = "chat-log-group"
  region            = "us-west-2"
}

run "the_port_is_everywhere" {
  command = plan

  assert {
    condition     = jsonencode(jsondecode(output.definitions)[0].portMappings) == jsonencode([{ containerPort = 8888, hostPort = 8888, protocol = "tcp" }])
    error_message = "port mappings: ${output.definitions}"
  }

  assert {
    condition     = contains(jsondecode(output.definitions)[0].environment, { name = "CHAT_LISTEN", value = "0.0.0.0:8888" })
    error_message = "the server is not told its port: ${output.definitions}"
  }

  assert {
    condition     = strcontains(join(" ", jsondecode(output.definitions)[0].healthCheck.command), "/127.0.0.1/8888 ")
    error_message = "the health check asks another port: ${output.definitions}"
  }
}

run "another_port_is_everywhere_too" {
  command = plan

  variables {
    port = 9000
  }

  assert {
    condition     = !strcontains(output.definitions, "8888")
    error_message = "8888 is still somewhere: ${output.definitions}"
  }
}

run "the_journal_is_a_secret" {
  command = plan

  assert {
    condition     = jsonencode(jsondecode(output.definitions)[0].secrets) == jsonencode([{ name = "CHAT_JOURNAL", valueFrom = var.journal_secret }])
    error_message = "secrets: ${output.definitions}"
  }

  assert {
    condition     = !contains(jsondecode(output.definitions)[0].environment[*].name, "CHAT_JOURNAL") && !strcontains(output.definitions, "redis")
    error_message = "the journal is named in plain text: ${output.definitions}"
  }
}

run "options_are_added_and_may_change_the_log_but_not_the_port" {
  command = plan

  variables {
    environment = { CHAT_ROOMS = "closed", CHAT_LOG_FORMAT = "text", CHAT_LISTEN = "0.0.0.0:1" }
  }

  assert {
    condition = jsonencode(jsondecode(output.definitions)[0].environment) == jsonencode([
      { name = "CHAT_LISTEN", value = "0.0.0.0:8888" },
      { name = "CHAT_LOG_FORMAT", value = "text" },
      { name = "CHAT_ROOMS", value = "closed" },
    ])
    error_message = "environment: ${output.definitions}"
  }
}

run "it_has_time_to_end_and_files_to_open" {
  command = plan

  assert {
    condition     = jsondecode(output.definitions)[0].stopTimeout == 30
    error_message = "stopTimeout: ${output.definitions}"
  }

  assert {
    condition     = jsonencode(jsondecode(output.definitions)[0].ulimits) == jsonencode([{ hardLimit = 65536, name = "nofile", softLimit = 65536 }])
    error_message = "ulimits: ${output.definitions}"
  }
}

run "it_has_no_rights_and_writes_nowhere" {
  command = plan

  assert {
    condition     = jsondecode(output.definitions)[0].readonlyRootFilesystem && jsonencode(jsondecode(output.definitions)[0].linuxParameters.capabilities) == jsonencode({ drop = ["ALL"] })
    error_message = output.definitions
  }
}

run "a_log_that_is_stuck_holds_up_nobody" {
  command = plan

  assert {
    condition     = jsondecode(output.definitions)[0].logConfiguration.options.mode == "non-blocking" && jsondecode(output.definitions)[0].logConfiguration.options.awslogs-group == "chat-log-group"
    error_message = output.definitions
  }
}

run "fargate_gives_two_minutes_at_most" {
  command = plan

  variables {
    stop_timeout_secs = 121
  }

  expect_failures = [var.stop_timeout_secs]
}
