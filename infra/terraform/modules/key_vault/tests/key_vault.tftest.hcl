mock_provider "azurerm" {
  mock_resource "azurerm_key_vault" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv" }
  }
}

variables {
  name                       = "kv-aigw-dev-x7"
  resource_group_name        = "rg"
  location                   = "swedencentral"
  tenant_id                  = "00000000-0000-0000-0000-00000000000d"
  soft_delete_retention_days = 90
  private                    = false
  allowed_ip_ranges          = []
  secret_officers            = { pipeline = "00000000-0000-0000-0000-00000000000c" }
  log_analytics_workspace_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
  tags                       = {}
}

run "roles_and_not_access_policies_decide" {
  command = plan

  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "The vault must use roles."
  }
}

run "a_destroyed_vault_can_be_brought_back" {
  command = plan

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90
    error_message = "Purge protection must be on."
  }
}

run "a_private_vault_takes_no_public_connection" {
  command = plan

  variables {
    private = true
  }

  assert {
    condition     = !azurerm_key_vault.this.public_network_access_enabled && azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    error_message = "Public access must be off."
  }
}

run "another_label_leaves_the_role_where_it_is" {
  command = plan

  variables {
    secret_officers = {
      alice    = "00000000-0000-0000-0000-00000000000b"
      pipeline = "00000000-0000-0000-0000-00000000000c"
    }
  }

  assert {
    condition     = toset(keys(azurerm_role_assignment.officers)) == toset(["00000000-0000-0000-0000-00000000000b", "00000000-0000-0000-0000-00000000000c"])
    error_message = "Its address must be the object id."
  }
  assert {
    condition     = length(distinct([for role in azurerm_role_assignment.officers : role.description])) == 1
    error_message = "azurerm 4 replaces a role whose description changes, so no label may be in it."
  }
}
