resource "azurerm_container_app_environment" "this" {
  name                = "cae-${var.stem}"
  resource_group_name = var.resource_group_name
  location            = var.location

  # Logs leave through the diagnostic setting below. The usual destination would need the workspace's shared key.
  logs_destination = "azure-monitor"

  infrastructure_subnet_id       = var.subnet_id
  internal_load_balancer_enabled = var.subnet_id == null ? null : var.internal
  zone_redundancy_enabled        = var.subnet_id == null ? null : var.zone_redundant

  # Init containers get the managed identity's tokens only in an environment with workload profiles, and an environment
  # without one cannot get one later.
  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }

  tags = var.tags

  lifecycle {
    # Azure chooses this name itself.
    ignore_changes = [infrastructure_resource_group_name]

    precondition {
      condition     = var.subnet_id != null || !(var.internal || var.zone_redundant)
      error_message = "An internal or zone-redundant environment needs a virtual network: set network_address_space."
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "logs" {
  name                       = "logs"
  target_resource_id         = azurerm_container_app_environment.this.id
  log_analytics_workspace_id = var.log_analytics_workspace_id

  enabled_log {
    category = "ContainerAppConsoleLogs"
  }

  enabled_log {
    category = "ContainerAppSystemLogs"
  }
}
