output "id" {
  description = "The account."
  value       = azurerm_cognitive_account.this.id
}

output "name" {
  description = "Name of the account."
  value       = azurerm_cognitive_account.this.name
}

output "endpoint" {
  description = "Address of the account, without a trailing slash; read once the deployments and the gateway's role exist."
  value       = trimsuffix(azurerm_cognitive_account.this.endpoint, "/")
  depends_on  = [azurerm_cognitive_deployment.this, azurerm_role_assignment.gateway]
}
