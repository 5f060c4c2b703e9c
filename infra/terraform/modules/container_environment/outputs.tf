output "id" {
  description = "Resource id of the environment."
  value       = azurerm_container_app_environment.this.id
}

output "default_domain" {
  description = "Domain at the end of the apps' host names."
  value       = azurerm_container_app_environment.this.default_domain
}

output "static_ip_address" {
  description = "Address of the environment's ingress."
  value       = azurerm_container_app_environment.this.static_ip_address
}
