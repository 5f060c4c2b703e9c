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
  mock_resource "azurerm_virtual_network" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v" }
  }
  mock_resource "azurerm_private_dns_zone" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/z" }
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
  application_insights_id         = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/components/appi"
}

run "the_deployer_may_push_images" {
  assert {
    condition     = [for role in azurerm_role_assignment.push : "${role.principal_id} ${role.role_definition_name}"] == ["00000000-0000-0000-0000-00000000000b AcrPush"]
    error_message = "Without a list, the deployer gets the role."
  }
}

run "a_new_label_leaves_the_role_where_it_is" {
  command = plan

  variables {
    deployer_principals = {
      alice    = "00000000-0000-0000-0000-00000000000b"
      pipeline = "00000000-0000-0000-0000-00000000000c"
    }
  }

  assert {
    condition     = toset(keys(azurerm_role_assignment.push)) == toset(["00000000-0000-0000-0000-00000000000b", "00000000-0000-0000-0000-00000000000c"])
    error_message = "Another address would have the role taken away and given back side by side, which may be refused."
  }
  assert {
    condition     = length(distinct([for role in azurerm_role_assignment.push : role.description])) == 1
    error_message = "azurerm 4 replaces a role whose description changes, so no label may be in it."
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
  assert {
    condition     = toset(keys(module.private_dns_zone)) == toset(["vault", "registry"])
    error_message = "Without its zone the name of an endpoint leads to the public address, which is shut."
  }
}

run "an_existing_zone_is_not_made_again" {
  command = plan

  variables {
    network_address_space     = "10.20.0.0/22"
    registry_sku              = "Premium"
    private_endpoints_enabled = true
    private_dns_zone_ids      = { key_vault = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/hub/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net" }
  }

  assert {
    condition     = keys(module.private_dns_zone) == ["registry"]
    error_message = "Only the zone that is missing may be made."
  }
}

run "a_hub_may_make_the_records" {
  command = plan

  variables {
    network_address_space     = "10.20.0.0/22"
    registry_sku              = "Premium"
    private_endpoints_enabled = true
    private_dns_zones_enabled = false
    environment_internal      = true
  }

  assert {
    condition     = module.private_dns_zone == {} && module.environment_zone == []
    error_message = "No zone may be made."
  }
}

run "an_internal_environment_can_be_found" {
  command = plan

  variables {
    network_address_space = "10.20.0.0/22"
    environment_internal  = true
  }

  assert {
    condition     = length(module.environment_zone) == 1
    error_message = "Its names are in no public DNS."
  }
}

run "an_internal_environment_needs_a_network" {
  command = plan

  variables {
    environment_internal = true
  }

  expect_failures = [var.environment_internal]
}

run "zones_of_availability_need_a_network" {
  command = plan

  variables {
    zone_redundancy_enabled = true
  }

  expect_failures = [var.zone_redundancy_enabled]
}

run "an_address_range_that_is_none_is_refused" {
  command = plan

  variables {
    key_vault_allowed_ip_ranges = ["203.0.113.0/24", "office"]
  }

  expect_failures = [var.key_vault_allowed_ip_ranges]
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
