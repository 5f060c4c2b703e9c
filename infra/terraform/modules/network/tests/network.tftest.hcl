mock_provider "azurerm" {}

variables {
  stem                = "aigw-dev"
  resource_group_name = "rg"
  location            = "swedencentral"
  address_space       = "10.20.0.0/25"
  tags                = {}
}

run "the_smallest_network_has_room_for_an_environment" {
  command = plan

  assert {
    condition     = azurerm_subnet.apps.address_prefixes == tolist(["10.20.0.0/27"])
    error_message = "A workload-profile environment takes a /27 or larger."
  }
  assert {
    condition     = azurerm_subnet.apps.delegation[0].service_delegation[0].name == "Microsoft.App/environments"
    error_message = "The subnet must be delegated to Container Apps."
  }
}

run "the_subnets_do_not_overlap" {
  command = plan

  assert {
    condition     = azurerm_subnet.endpoints.address_prefixes == tolist(["10.20.0.32/27"])
    error_message = "The endpoints have the second quarter."
  }
}
