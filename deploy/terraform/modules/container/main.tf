locals {
  # What app_environment_variables says may override CHAT_LOG_FORMAT, not where the server listens.
  environment = merge({ CHAT_LOG_FORMAT = "json" }, var.environment, { CHAT_LISTEN = "0.0.0.0:${var.port}" })

  # Alive, not ready: a server whose journal is away for a while keeps its clients, and must not be replaced for that.
  alive = "exec 3<>/dev/tcp/127.0.0.1/${var.port} && printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 4 line <&3 && [[ $line == 'HTTP/1.'?' 200 '* ]]"

  container = {
    name      = var.name
    image     = var.image
    essential = true

    portMappings = [{ containerPort = var.port, hostPort = var.port, protocol = "tcp" }]

    # Sorted by name, so that the same settings are the same task definition.
    environment = [for name in sort(keys(local.environment)) : { name = name, value = local.environment[name] }]
    secrets     = [{ name = "CHAT_JOURNAL", valueFrom = var.journal_secret }]

    ulimits     = [{ name = "nofile", softLimit = var.open_files, hardLimit = var.open_files }]
    stopTimeout = var.stop_timeout_secs

    healthCheck = {
      command     = ["CMD", "bash", "-c", local.alive]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }

    # Nothing is kept in the container, and nothing in it needs a right.
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }

    # A log that cannot be written holds up nobody's chat; what does not fit into the buffer is lost.
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group
        awslogs-region        = var.region
        awslogs-stream-prefix = "ecs"
        mode                  = "non-blocking"
        max-buffer-size       = "4m"
      }
    }
  }
}
