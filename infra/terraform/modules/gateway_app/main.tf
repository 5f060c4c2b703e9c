locals {
  config_volume = "config"

  # Names of Container App secrets are lower case with dashes, like those of the Key Vault secrets. The reference contains
  # the version, so a revision always runs with the values that existed when it was made.
  secrets = {
    for variable, secret in var.secrets : variable => {
      name = lower(replace(variable, "_", "-"))
      id   = "${var.key_vault_uri}secrets/${secret.name}/${secret.version}"
    }
  }

  # Azure makes a new revision only when the template changes, and a secret is not part of it. This digest is: any setting
  # or secret that is added, changed or removed gives a new revision.
  settings_digest = substr(sha256(jsonencode({ settings = var.app_settings, secrets = var.secrets })), 0, 16)

  collector_variables = toset([
    for variable in ["APPLICATIONINSIGHTS_CONNECTION_STRING"] : variable if contains(keys(local.secrets), variable)
  ])

  containers = concat(
    [{ cpu = var.gateway_cpu }],
    var.collector_enabled ? [{ cpu = var.collector_cpu }] : [],
    [for sidecar in var.sidecars : { cpu = sidecar.cpu }],
  )
  total_cpu = sum(local.containers[*].cpu)
}

resource "azurerm_container_app" "gateway" {
  name                         = var.name
  resource_group_name          = var.resource_group_name
  container_app_environment_id = var.environment_id
  workload_profile_name        = "Consumption"
  revision_mode                = "Single"
  max_inactive_revisions       = 5

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_id]
  }

  registry {
    server   = var.registry_login_server
    identity = var.identity_id
  }

  dynamic "secret" {
    for_each = local.secrets

    content {
      name                = secret.value.name
      identity            = var.identity_id
      key_vault_secret_id = secret.value.id
    }
  }

  ingress {
    target_port                = 9080
    transport                  = "auto"
    external_enabled           = var.external
    allow_insecure_connections = false

    dynamic "ip_security_restriction" {
      for_each = var.allowed_ip_ranges

      content {
        name             = ip_security_restriction.key
        action           = "Allow"
        ip_address_range = ip_security_restriction.value
      }
    }

    traffic_weight {
      latest_revision = true
      percentage      = 100
    }
  }

  template {
    min_replicas                     = var.min_replicas
    max_replicas                     = var.max_replicas
    cooldown_period_in_seconds       = var.scale_down_after_seconds
    termination_grace_period_seconds = var.termination_grace_period_seconds

    volume {
      name         = local.config_volume
      storage_type = "EmptyDir"
    }

    # Checks settings and secrets and writes the files that the other containers read. Only this container has all the
    # secrets as variables. A wrong setting stops the new revision here, while the old one goes on serving.
    init_container {
      name    = "config-renderer"
      image   = var.renderer_image
      command = var.renderer_command
      cpu     = 0.25
      memory  = "0.5Gi"

      env {
        name  = "SETTINGS_DIGEST"
        value = local.settings_digest
      }

      dynamic "env" {
        for_each = var.app_settings

        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = local.secrets

        content {
          name        = env.key
          secret_name = env.value.name
        }
      }

      volume_mounts {
        name = local.config_volume
        path = var.config_path
      }
    }

    container {
      name   = "gateway"
      image  = var.gateway_image
      cpu    = var.gateway_cpu
      memory = "${var.gateway_cpu * 2}Gi"

      env {
        name  = "AZURE_CLIENT_ID"
        value = var.identity_client_id
      }

      volume_mounts {
        name = local.config_volume
        path = var.config_path
      }

      # A worker itself answers on the status port: it is live while it runs, and ready once it has loaded a complete,
      # valid configuration.
      startup_probe {
        transport               = "HTTP"
        port                    = 7085
        path                    = "/status/ready"
        interval_seconds        = 4
        timeout                 = 2
        failure_count_threshold = 10
      }

      readiness_probe {
        transport               = "HTTP"
        port                    = 7085
        path                    = "/status/ready"
        interval_seconds        = 5
        timeout                 = 2
        failure_count_threshold = 3
        success_count_threshold = 1
      }

      liveness_probe {
        transport               = "HTTP"
        port                    = 7085
        path                    = "/status"
        interval_seconds        = 10
        timeout                 = 5
        failure_count_threshold = 6
      }
    }

    dynamic "container" {
      for_each = var.collector_enabled ? [var.collector_image] : []

      content {
        name   = "otel-collector"
        image  = container.value
        args   = ["--config=${var.config_path}/otel-collector.yaml"]
        cpu    = var.collector_cpu
        memory = "${var.collector_cpu * 2}Gi"

        env {
          name  = "AZURE_CLIENT_ID"
          value = var.identity_client_id
        }

        # The exporter reads this variable, so its configuration file needs no copy of the value.
        dynamic "env" {
          for_each = local.collector_variables

          content {
            name        = env.value
            secret_name = local.secrets[env.value].name
          }
        }

        volume_mounts {
          name = local.config_volume
          path = var.config_path
        }

        startup_probe {
          transport               = "HTTP"
          port                    = 13133
          path                    = "/"
          interval_seconds        = 4
          timeout                 = 2
          failure_count_threshold = 10
        }

        readiness_probe {
          transport               = "HTTP"
          port                    = 13133
          path                    = "/"
          interval_seconds        = 10
          timeout                 = 2
          failure_count_threshold = 6
          success_count_threshold = 1
        }

        liveness_probe {
          transport               = "HTTP"
          port                    = 13133
          path                    = "/"
          interval_seconds        = 30
          timeout                 = 5
          failure_count_threshold = 5
        }
      }
    }

    # A sidecar shares the network and the configuration volume of the replica. Only requests that the gateway forwards
    # reach it from outside.
    dynamic "container" {
      for_each = var.sidecars

      content {
        name    = container.value.name
        image   = container.value.image
        command = container.value.command
        cpu     = container.value.cpu
        memory  = "${container.value.cpu * 2}Gi"

        dynamic "env" {
          for_each = container.value.env

          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = container.value.secret_env

          content {
            name        = env.value
            secret_name = local.secrets[env.value].name
          }
        }

        volume_mounts {
          name = local.config_volume
          path = var.config_path
        }

        startup_probe {
          transport               = "HTTP"
          port                    = container.value.port
          path                    = container.value.probe_path
          interval_seconds        = 4
          failure_count_threshold = 10
        }

        readiness_probe {
          transport               = "HTTP"
          port                    = container.value.port
          path                    = container.value.probe_path
          success_count_threshold = 1
        }

        liveness_probe {
          transport               = "HTTP"
          port                    = container.value.port
          path                    = container.value.probe_path
          failure_count_threshold = 6
        }
      }
    }

    http_scale_rule {
      name                = "http"
      concurrent_requests = tostring(var.scale_concurrent_requests)
    }

    dynamic "custom_scale_rule" {
      for_each = var.scale_cpu_percent == null ? [] : [var.scale_cpu_percent]

      content {
        name             = "cpu"
        custom_rule_type = "cpu"
        metadata = {
          type  = "Utilization"
          value = tostring(custom_scale_rule.value)
        }
      }
    }
  }

  tags = var.tags

  lifecycle {
    precondition {
      condition     = local.total_cpu <= 4 && local.total_cpu * 4 == floor(local.total_cpu * 4)
      error_message = "The containers of a replica ask for ${local.total_cpu} vCPU together; Azure accepts multiples of 0.25 up to 4. Change gateway_cpu or collector_cpu."
    }

    precondition {
      condition     = var.max_replicas >= max(var.min_replicas, 1)
      error_message = "max_replicas must be at least 1 and not less than min_replicas."
    }
  }
}

# After a change the app's own attributes still show the old revision and host name, because the provider does not mark
# them as changing in the plan. A data source that depends on the app is read after the change, so it shows the new ones.
data "azurerm_container_app" "deployed" {
  name                = azurerm_container_app.gateway.name
  resource_group_name = azurerm_container_app.gateway.resource_group_name

  depends_on = [azurerm_container_app.gateway]
}
