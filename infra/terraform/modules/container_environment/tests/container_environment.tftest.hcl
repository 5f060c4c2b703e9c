mock_provider "azurerm" {
  mock_resource "azurerm_container_app_environment" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae"
    }
  }
}

variables {
  stem                       = "aigw-dev"
  resource_group_name        = "rg"
  location                   = "swedencentral"
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
  subnet_id                  = null
  internal                   = false
  zone_redundant             = false
  tags                       = {}
}

run "the_consumption_profile_is_there" {
  command = plan

  assert {
    condition     = [for profile in azurerm_container_app_environment.this.workload_profile : profile.workload_profile_type] == ["Consumption"]
    error_message = "Init containers get tokens only with a workload profile."
  }
}

run "logs_leave_without_a_shared_key" {
  command = plan

  assert {
    condition     = azurerm_container_app_environment.this.logs_destination == "azure-monitor"
    error_message = "The other destination needs the workspace's key."
  }
  assert {
    condition     = toset([for log in azurerm_monitor_diagnostic_setting.logs.enabled_log : log.category]) == toset(["ContainerAppConsoleLogs", "ContainerAppSystemLogs"])
    error_message = "Console and system logs must go to the workspace."
  }
}

run "an_internal_environment_needs_a_network" {
  command = plan

  variables {
    internal = true
  }

  expect_failures = [azurerm_container_app_environment.this]
}
