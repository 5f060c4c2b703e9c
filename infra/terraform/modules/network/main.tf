resource "azurerm_virtual_network" "this" {
  name                = "vnet-${var.stem}"
  resource_group_name = var.resource_group_name
  location            = var.location
  address_space       = [var.address_space]
  tags                = var.tags
}

# An environment with workload profiles needs a delegated subnet of /27 or larger. A quarter of the space is room to grow.
resource "azurerm_subnet" "apps" {
  #checkov:skip=CKV2_AZURE_31:Container Apps manages the traffic of its delegated subnet; its ingress rules decide which requests may enter.
  name                 = "snet-apps"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.address_space, 2, 0)]

  delegation {
    name = "container-apps"

    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_subnet" "endpoints" {
  #checkov:skip=CKV2_AZURE_31:It contains only private endpoints, each of which leads to exactly one resource.
  name                 = "snet-endpoints"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.address_space, 2, 1)]
}
