output "id" {
  description = "The registry."
  value       = azurerm_container_registry.this.id
}

output "name" {
  description = "Name of the registry, for builds."
  value       = azurerm_container_registry.this.name
}

output "login_server" {
  description = "Host name that image references start with."
  value       = azurerm_container_registry.this.login_server
}
