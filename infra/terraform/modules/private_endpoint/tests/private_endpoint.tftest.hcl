mock_provider "azurerm" {}

variables {
  name                = "kv-aigw-dev-x7"
  resource_group_name = "rg"
  location            = "swedencentral"
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
  target_resource_id  = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.KeyVault/vaults/kv"
  subresource         = "vault"
  private_dns_zone_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net"
  tags                = {}
}

run "its_record_is_in_the_zone" {
  command = plan

  assert {
    condition     = azurerm_private_endpoint.this.private_dns_zone_group[0].private_dns_zone_ids == tolist([var.private_dns_zone_id])
    error_message = "Nobody finds an endpoint without a record."
  }
}

run "records_may_be_made_elsewhere" {
  command = plan

  variables {
    private_dns_zone_id = null
  }

  assert {
    condition     = length(azurerm_private_endpoint.this.private_dns_zone_group) == 0
    error_message = "No zone, no group."
  }
}

run "it_needs_no_approval" {
  command = plan

  assert {
    condition     = !azurerm_private_endpoint.this.private_service_connection[0].is_manual_connection
    error_message = "The connection must be made at once."
  }
}
