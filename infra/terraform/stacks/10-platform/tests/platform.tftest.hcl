mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      object_id = "00000000-0000-0000-0000-00000000000b"
      tenant_id = "00000000-0000-0000-0000-00000000000d"
    }
  }
  mock_resource "azurerm_container_registry" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/cr" }
  }
  mock_resource "azurerm_key_vault" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv" }
  }
  mock_resource "azurerm_container_app_environment" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae" }
  }
  mock_resource "azurerm_subnet" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s" }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
      principal_id = "00000000-0000-0000-0000-00000000000e"
    }
  }
}

variables {
  subscription_id                 = "00000000-0000-0000-0000-00000000000a"
  name                            = "aigw"
  environment                     = "dev"
  location                        = "swedencentral"
  log_analytics_workspace_id      = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
  metrics_data_collection_rule_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/dcr"
}

run "whoever_runs_it_may_push_images" {
  assert {
    condition     = { for label, role in azurerm_role_assignment.push : label => "${role.principal_id} ${role.role_definition_name}" } == { deployer = "00000000-0000-0000-0000-00000000000b AcrPush" }
    error_message = "Without a list, the deployer gets the role."
  }
}

run "without_an_address_space_there_is_no_network" {
  assert {
    condition     = output.virtual_network_id == null && output.endpoints_subnet_id == null
    error_message = "The network must be optional."
  }
}

run "private_endpoints_reach_vault_and_registry" {
  variables {
    network_address_space     = "10.20.0.0/22"
    registry_sku              = "Premium"
    private_endpoints_enabled = true
  }

  assert {
    condition     = toset(keys(module.private_endpoint)) == toset(["vault", "registry"])
    error_message = "Both must have an endpoint."
  }
}

run "private_endpoints_need_a_network" {
  command = plan

  variables {
    private_endpoints_enabled = true
  }

  expect_failures = [var.private_endpoints_enabled]
}

run "a_network_too_small_for_the_environment_is_refused" {
  command = plan

  variables {
    network_address_space = "10.0.0.0/27"
  }

  expect_failures = [var.network_address_space]
}
