output "id" {
  description = "Resource id of the registry."
  value       = azurerm_container_registry.this.id
}

output "name" {
  description = "Name of the registry, for builds."
  value       = azurerm_container_registry.this.name
}

output "login_server" {
  description = "Host name at the start of image references."
  value       = azurerm_container_registry.this.login_server
}
