mock_provider "azurerm" {
  mock_resource "azurerm_storage_account" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/staigwdevx7" }
  }
}

variables {
  name                = "staigwdevx7"
  resource_group_name = "rg"
  location            = "swedencentral"
  container_name      = "tfstate"
  replication_type    = "LRS"
  retention_days      = 30
  allowed_ip_ranges   = []
  state_principals    = { pipeline = "00000000-0000-0000-0000-00000000000c" }
  tags                = {}
}

run "only_entra_tokens_open_the_state" {
  command = plan

  assert {
    condition     = azurerm_storage_account.state.shared_access_key_enabled == false
    error_message = "Account keys must be off."
  }
  assert {
    condition     = azurerm_storage_account.state.allow_nested_items_to_be_public == false && azurerm_storage_container.state.container_access_type == "private"
    error_message = "Anonymous access must be off."
  }
}

run "state_can_be_brought_back" {
  command = plan

  assert {
    condition     = azurerm_storage_account.state.blob_properties[0].versioning_enabled && azurerm_storage_account.state.blob_properties[0].delete_retention_policy[0].days == 30
    error_message = "Every write must be a version, and a deleted blob recoverable."
  }
}

run "exactly_the_listed_principals_have_the_role" {
  command = plan

  assert {
    condition     = [for role in azurerm_role_assignment.state : "${role.principal_id} ${role.role_definition_name}"] == ["00000000-0000-0000-0000-00000000000c Storage Blob Data Contributor"]
    error_message = "Nobody else may be added."
  }
}

# Another address would have it taken away and given back side by side: refused once, access to this very state is gone.
run "another_label_leaves_the_role_where_it_is" {
  command = plan

  variables {
    state_principals = {
      alice    = "00000000-0000-0000-0000-00000000000b"
      pipeline = "00000000-0000-0000-0000-00000000000c"
    }
  }

  assert {
    condition     = toset(keys(azurerm_role_assignment.state)) == toset(["00000000-0000-0000-0000-00000000000b", "00000000-0000-0000-0000-00000000000c"])
    error_message = "Its address must be the object id."
  }
  assert {
    condition     = length(distinct([for role in azurerm_role_assignment.state : role.description])) == 1
    error_message = "azurerm 4 replaces a role whose description changes, so no label may be in it."
  }
}

run "the_open_account_has_rules_that_the_provider_reads_back" {
  command = plan

  assert {
    condition     = azurerm_storage_account.state.network_rules[0].bypass == toset(["None"])
    error_message = "It takes the defaults for no rules, so that every plan would have a change."
  }
}

run "address_ranges_shut_everybody_else_out" {
  command = plan

  variables {
    allowed_ip_ranges = ["203.0.113.0/24"]
  }

  assert {
    condition     = azurerm_storage_account.state.network_rules[0].default_action == "Deny"
    error_message = "With ranges, the default must be Deny."
  }
}
