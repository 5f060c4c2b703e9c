output "id" {
  description = "Resource id of the app."
  value       = azurerm_container_app.gateway.id
}

output "name" {
  description = "Name of the app."
  value       = azurerm_container_app.gateway.name
}

output "url" {
  description = "Address of the gateway."
  value       = "https://${one(data.azurerm_container_app.deployed.ingress[*].fqdn)}"
}

output "latest_revision_name" {
  description = "Revision that this deployment made or kept."
  value       = data.azurerm_container_app.deployed.latest_revision_name
}

output "settings_digest" {
  description = "Digest of settings and secret versions. A new digest gives a new revision."
  value       = local.settings_digest
}
