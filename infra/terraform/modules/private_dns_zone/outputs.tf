output "id" {
  description = "The zone, linked to the network."
  value       = azurerm_private_dns_zone.this.id
  depends_on  = [azurerm_resource_group_template_deployment.content]
}
