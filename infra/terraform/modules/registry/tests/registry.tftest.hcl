mock_provider "azurerm" {
  mock_resource "azurerm_container_registry" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/cr" }
  }
}

variables {
  name                       = "craigwdevx7"
  resource_group_name        = "rg"
  location                   = "swedencentral"
  sku                        = "Basic"
  private                    = false
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
  tags                       = {}
}

run "there_is_no_password" {
  command = plan

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "Only identities may pull or push."
  }
}

run "a_private_registry_needs_premium" {
  command = plan

  variables {
    private = true
  }

  expect_failures = [azurerm_container_registry.this]
}
