output "id" {
  description = "Resource id of the zone, known once the zone is linked to the network."
  value       = azurerm_private_dns_zone.this.id
  depends_on  = [azurerm_resource_group_template_deployment.content]
}
