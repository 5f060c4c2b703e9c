mock_provider "azurerm" {
  mock_resource "azurerm_resource_group" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g" }
  }
  mock_resource "azurerm_cognitive_account" {
    defaults = {
      id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/oai"
      endpoint = "https://account.openai.azure.com/"
    }
  }
  mock_resource "azurerm_private_dns_zone" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/z" }
  }
  mock_resource "azurerm_role_definition" {
    defaults = { role_definition_resource_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/providers/Microsoft.Authorization/roleDefinitions/r" }
  }
}

variables {
  subscription_id               = "00000000-0000-0000-0000-00000000000a"
  name                          = "aigw"
  environment                   = "dev"
  location                      = "swedencentral"
  gateway_identity_principal_id = "00000000-0000-0000-0000-00000000000e"
  accounts = {
    sweden = {
      location    = "swedencentral"
      priority    = 10
      deployments = { "gpt-4o-mini" = { model = "gpt-4o-mini", version = "2024-07-18" } }
    }
    france = {
      location    = "francecentral"
      deployments = { "gpt-4o-mini" = { model = "gpt-4o-mini", version = "2024-07-18" } }
    }
  }
}

run "accounts_become_backends" {
  assert {
    condition     = { for backend in output.azure_openai_backends : backend.name => "${backend.region} ${backend.priority} ${backend.endpoint}" } == { france = "francecentral 0 https://account.openai.azure.com", sweden = "swedencentral 10 https://account.openai.azure.com" }
    error_message = "Each account is a backend."
  }
}

run "without_a_network_there_is_no_endpoint" {
  command = plan

  assert {
    condition     = module.private_endpoint == {} && module.private_dns_zone == []
    error_message = "Private endpoints must be optional."
  }
}

run "each_account_gets_an_endpoint_and_all_one_zone" {
  variables {
    private_endpoints_enabled = true
    endpoints_subnet_id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    virtual_network_id        = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
  }

  assert {
    condition     = keys(module.private_endpoint) == ["france", "sweden"] && length(module.private_dns_zone) == 1
    error_message = "The gateway must find each account."
  }
}

run "an_existing_zone_is_not_made_again" {
  command = plan

  variables {
    private_endpoints_enabled = true
    endpoints_subnet_id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    virtual_network_id        = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
    private_dns_zone_id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/hub/providers/Microsoft.Network/privateDnsZones/privatelink.openai.azure.com"
  }

  assert {
    condition     = module.private_dns_zone == []
    error_message = "The hub's zone must be used."
  }
}

run "private_endpoints_need_a_network" {
  command = plan

  variables {
    private_endpoints_enabled = true
  }

  expect_failures = [var.private_endpoints_enabled]
}

run "no_key_is_in_the_outputs" {
  assert {
    condition     = !strcontains(jsonencode(output.azure_openai_backends), "key\":")
    error_message = "Keys must not be passed on."
  }
}

run "an_account_without_deployments_is_refused" {
  command = plan

  variables {
    accounts = { sweden = { location = "swedencentral", deployments = {} } }
  }

  expect_failures = [var.accounts]
}

run "a_fraction_of_capacity_is_refused" {
  command = plan

  variables {
    accounts = { sweden = { location = "swedencentral", deployments = { a = { model = "m", version = "1", capacity = 1.5 } } } }
  }

  expect_failures = [var.accounts]
}

run "the_gateway_may_not_write_files" {
  command = plan
  assert {
    condition     = length(azurerm_role_definition.files_and_batches) == 0 && length(azurerm_role_assignment.files_and_batches) == 0
    error_message = "Making a role takes rights that not every login has."
  }
}

run "with_the_custom_role_it_may_on_every_account" {
  command = plan
  variables {
    files_and_batches_enabled = true
  }
  assert {
    condition     = keys(azurerm_role_assignment.files_and_batches) == ["france", "sweden"]
    error_message = "Each account needs the role."
  }
}
