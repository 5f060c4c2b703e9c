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

output "simulator_hosts" {
  description = "Host names of the simulators inside the environment, by region."
  value       = { for region, app in module.simulator : region => app.fqdn }
}
