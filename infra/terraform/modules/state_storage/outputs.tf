output "storage_account_name" {
  description = "Storage account of the Terraform state."
  value       = azurerm_storage_account.state.name
}

# The output waits for the roles: a later stack must not start before they exist.
output "container_name" {
  description = "Blob container of the Terraform state."
  value       = azurerm_storage_container.state.name
  depends_on  = [azurerm_role_assignment.state]
}
