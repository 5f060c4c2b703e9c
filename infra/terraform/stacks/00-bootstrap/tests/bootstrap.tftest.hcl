mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = { object_id = "00000000-0000-0000-0000-00000000000b" }
  }
  mock_resource "azurerm_storage_account" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/st" }
  }
}

variables {
  subscription_id = "00000000-0000-0000-0000-00000000000a"
  name            = "aigw"
  environment     = "dev"
  location        = "swedencentral"
}

run "later_stacks_find_the_state_by_its_names" {
  command = plan

  assert {
    condition     = output.state_resource_group_name == module.naming.state_resource_group && output.state_storage_account_name == module.naming.state_storage_account && output.state_container_name == module.naming.state_container
    error_message = "The names must be those that the deploy command derives."
  }
}

run "a_single_address_is_written_without_its_mask" {
  command = plan

  variables {
    state_allowed_ip_ranges = ["203.0.113.7/32"]
  }

  expect_failures = [var.state_allowed_ip_ranges]
}

run "addresses_and_ranges_are_accepted" {
  command = plan

  variables {
    state_allowed_ip_ranges = ["203.0.113.7", "198.51.100.0/24"]
  }
}

run "two_dashes_in_a_row_are_refused" {
  command = plan

  variables {
    name = "ai--gw"
  }

  expect_failures = [var.name]
}

run "the_longest_name_is_accepted" {
  command = plan

  variables {
    name = "a-i-gw-1"
  }
}

run "a_longer_name_is_refused" {
  command = plan

  variables {
    name = "a-i-gw-12"
  }

  expect_failures = [var.name]
}
