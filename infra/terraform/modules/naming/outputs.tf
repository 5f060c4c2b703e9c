output "stem" {
  description = "Name and environment, joined: the readable part of every resource name."
  value       = local.stem
}

output "suffix" {
  description = "Suffix of the globally unique names."
  value       = local.suffix
}

output "state_storage_account" {
  description = "Storage account of the Terraform state (at most 24 characters, lower case and digits)."
  value       = "st${local.compact}"
}

output "container_registry" {
  description = "Container registry (letters and digits)."
  value       = "cr${local.compact}"
}

output "key_vault" {
  description = "Key Vault (at most 24 characters)."
  value       = "kv-${local.stem}-${local.suffix}"
}
