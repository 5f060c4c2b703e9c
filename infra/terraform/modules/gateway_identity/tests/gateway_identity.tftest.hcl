mock_provider "azurerm" {
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
      principal_id = "00000000-0000-0000-0000-00000000000e"
      client_id    = "00000000-0000-0000-0000-00000000000f"
    }
  }
}

variables {
  stem                            = "aigw-dev"
  resource_group_name             = "rg"
  location                        = "swedencentral"
  registry_id                     = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/cr"
  key_vault_id                    = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv"
  metrics_data_collection_rule_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/dcr"
  application_insights_id         = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/components/appi"
  tags                            = {}
}

run "it_may_pull_read_measure_and_trace_and_nothing_else" {
  assert {
    condition = toset([for role in azurerm_role_assignment.gateway : "${role.role_definition_name} on ${reverse(split("/", role.scope))[0]}"]) == toset([
      "AcrPull on cr",
      "Key Vault Secrets User on kv",
      "Monitoring Metrics Publisher on dcr",
      "Monitoring Metrics Publisher on appi",
    ])
    error_message = "Each role belongs on the one resource it is about."
  }
}

run "no_role_reaches_beyond_one_resource" {
  assert {
    condition     = alltrue([for role in azurerm_role_assignment.gateway : strcontains(role.scope, "/providers/")])
    error_message = "No role on a resource group or subscription."
  }
}
