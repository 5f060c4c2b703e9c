output "name" {
  description = "Name of the app, which is also its host name inside the environment for TCP."
  value       = azurerm_container_app.this.name
}
