output "state_resource_group_name" {
  description = "Resource group of the state storage account."
  value       = azurerm_resource_group.state.name
}

output "state_storage_account_name" {
  description = "Storage account of the Terraform state."
  value       = module.state_storage.storage_account_name
}

output "state_container_name" {
  description = "Blob container of the Terraform state."
  value       = module.state_storage.container_name
}
