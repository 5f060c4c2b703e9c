mock_provider "azurerm" {
  mock_resource "azurerm_private_dns_zone" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/z" }
  }
}

variables {
  name                = "privatelink.vaultcore.azure.net"
  resource_group_name = "rg"
  virtual_network_id  = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v"
  tags                = { application = "aigw" }
}

run "the_network_finds_the_names_of_the_zone" {
  command = plan

  assert {
    condition     = [for item in jsondecode(azurerm_resource_group_template_deployment.content.template_content).resources : "${item.name} ${item.properties.virtualNetwork.id}"] == ["privatelink.vaultcore.azure.net/gateway ${var.virtual_network_id}"]
    error_message = "A zone without a link answers nobody."
  }
}

run "machines_are_not_registered_in_it" {
  command = plan

  assert {
    condition     = !jsondecode(azurerm_resource_group_template_deployment.content.template_content).resources[0].properties.registrationEnabled
    error_message = "Only private endpoints and the given records belong into the zone."
  }
}

run "records_are_made_in_it" {
  command = plan

  variables {
    name    = "env.example.com"
    records = { "*" = "10.20.0.10" }
  }

  assert {
    condition     = [for item in jsondecode(azurerm_resource_group_template_deployment.content.template_content).resources : item.properties.aRecords[0].ipv4Address if item.name == "env.example.com/*"] == ["10.20.0.10"]
    error_message = "The wildcard must lead to the address."
  }
}
