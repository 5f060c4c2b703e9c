output "apps_subnet_id" {
  description = "Subnet of the Container Apps environment."
  value       = azurerm_subnet.apps.id
}

output "endpoints_subnet_id" {
  description = "Subnet of the private endpoints."
  value       = azurerm_subnet.endpoints.id
}

output "virtual_network_id" {
  description = "Resource id of the network, for links of private DNS zones and for peering."
  value       = azurerm_virtual_network.this.id
}
