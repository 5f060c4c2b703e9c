output "id" {
  description = "The environment."
  value       = azurerm_container_app_environment.this.id
}

output "default_domain" {
  description = "Domain that app host names end with."
  value       = azurerm_container_app_environment.this.default_domain
}

output "static_ip_address" {
  description = "Address of the environment's ingress."
  value       = azurerm_container_app_environment.this.static_ip_address
}
