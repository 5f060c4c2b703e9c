# An app with one container that only apps in the same environment can reach: a simulator, or Redis.
resource "azurerm_container_app" "this" {
  name                         = var.name
  resource_group_name          = var.resource_group_name
  container_app_environment_id = var.environment_id
  workload_profile_name        = "Consumption"
  revision_mode                = "Single"
  max_inactive_revisions       = 2

  identity {
    type         = "UserAssigned"
    identity_ids = [var.identity_id]
  }

  dynamic "registry" {
    for_each = var.registry_login_server == null ? [] : [var.registry_login_server]

    content {
      server   = registry.value
      identity = var.identity_id
    }
  }

  secret {
    name                = lower(replace(var.secret.variable, "_", "-"))
    identity            = var.identity_id
    key_vault_secret_id = var.secret.id
  }

  ingress {
    # Never true: no variable of this module can change it.
    external_enabled           = false
    allow_insecure_connections = false
    target_port                = var.port
    exposed_port               = var.tcp ? var.port : null
    transport                  = var.tcp ? "tcp" : "http"

    traffic_weight {
      latest_revision = true
      percentage      = 100
    }
  }

  template {
    min_replicas = 1
    max_replicas = 1

    container {
      name    = "main"
      image   = var.image
      command = var.command
      args    = var.args
      cpu     = var.cpu
      memory  = "${var.cpu * 2}Gi"

      env {
        name        = var.secret.variable
        secret_name = lower(replace(var.secret.variable, "_", "-"))
      }

      # A changed secret alone makes no new revision; its version as part of the template does.
      env {
        name  = "SECRET_VERSION"
        value = element(split("/", var.secret.id), length(split("/", var.secret.id)) - 1)
      }

      dynamic "env" {
        for_each = var.env

        content {
          name  = env.key
          value = env.value
        }
      }

      startup_probe {
        transport               = "TCP"
        port                    = var.port
        interval_seconds        = 4
        failure_count_threshold = 10
      }

      readiness_probe {
        transport               = "TCP"
        port                    = var.port
        interval_seconds        = 5
        success_count_threshold = 1
      }

      liveness_probe {
        transport               = "TCP"
        port                    = var.port
        interval_seconds        = 10
        failure_count_threshold = 6
      }
    }
  }

  tags = var.tags
}
