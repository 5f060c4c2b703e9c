output "stem" {
  description = "Name and environment, joined: the readable part of every resource name."
  value       = local.stem
}

output "suffix" {
  description = "Suffix of the globally unique names."
  value       = local.suffix
}

output "state_resource_group" {
  description = "Resource group of the Terraform state."
  value       = local.names.state_resource_group
}

output "state_storage_account" {
  description = "Storage account of the Terraform state (at most 24 characters, lower case and digits)."
  value       = local.names.state_storage_account
}

output "state_container" {
  description = "Blob container of the Terraform state."
  value       = local.names.state_container
}

output "container_registry" {
  description = "Container registry (letters and digits)."
  value       = local.names.container_registry
}

output "key_vault" {
  description = "Key Vault (at most 24 characters)."
  value       = local.names.key_vault
}
