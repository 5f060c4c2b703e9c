output "gateway_url" {
  description = "Address of the gateway."
  value       = module.gateway.url
}

output "gateway_app_name" {
  description = "Container App of the gateway."
  value       = module.gateway.name
}

output "workload_resource_group_name" {
  description = "Resource group of the apps."
  value       = azurerm_resource_group.workload.name
}

output "latest_revision_name" {
  description = "Revision that this deployment made or kept."
  value       = module.gateway.latest_revision_name
}

output "e2e_stage" {
  description = "What end-to-end tests need to know, with names of secrets in place of keys; null without deploy_e2e."
  value = var.deploy_e2e ? {
    key_vault_uri              = var.key_vault_uri
    client_key_secrets         = local.e2e_client_secrets
    simulator_urls             = local.simulator_urls
    simulator_key_secret       = "e2e-simulator-key"
    simulator_admin_key_secret = "e2e-simulator-admin-key"
    app_settings               = local.app_settings
    max_replicas               = var.max_replicas
  } : null
}
