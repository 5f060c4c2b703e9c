# An app with one container beside the gateway: a simulator, or Redis.
locals {
  # Names of Container App secrets are lower case with dashes.
  secrets = { for variable, id in var.secrets : variable => { name = lower(replace(variable, "_", "-")), id = id } }

  # A changed secret alone makes no new revision; the versions as part of the template do.
  secret_versions = join(",", [for variable in sort(keys(var.secrets)) : reverse(split("/", var.secrets[variable]))[0]])

  # Apps of the same environment may come from private addresses, which no client on the internet has.
  private_ranges = {
    private-10      = "10.0.0.0/8"
    private-172     = "172.16.0.0/12"
    private-192     = "192.168.0.0/16"
    environment-100 = "100.64.0.0/10"
  }
}

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

  dynamic "secret" {
    for_each = local.secrets

    content {
      name                = secret.value.name
      identity            = var.identity_id
      key_vault_secret_id = secret.value.id
    }
  }

  ingress {
    external_enabled           = var.external
    allow_insecure_connections = false
    target_port                = var.port
    exposed_port               = var.tcp ? var.port : null
    transport                  = var.tcp ? "tcp" : "http"

    dynamic "ip_security_restriction" {
      for_each = length(var.allowed_ip_ranges) == 0 ? {} : merge(local.private_ranges, var.allowed_ip_ranges)

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
    min_replicas = 1
    max_replicas = 1

    container {
      name    = "main"
      image   = var.image
      command = var.command
      args    = var.args
      cpu     = var.cpu
      memory  = "${var.cpu * 2}Gi"

      dynamic "env" {
        for_each = local.secrets

        content {
          name        = env.key
          secret_name = env.value.name
        }
      }

      env {
        name  = "SECRET_VERSIONS"
        value = local.secret_versions
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
