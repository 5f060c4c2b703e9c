output "container_app_environment_id" {
  description = "Environment that the apps run in."
  value       = module.environment.id
}

output "environment_default_domain" {
  description = "Domain at the end of the apps' host names."
  value       = module.environment.default_domain
}

output "environment_static_ip" {
  description = "Address of the environment's ingress, for DNS records and firewalls."
  value       = module.environment.static_ip_address
}

output "registry_name" {
  description = "Name of the registry that builds the images."
  value       = module.registry.name
}

output "registry_login_server" {
  description = "Host name at the start of image references."
  value       = module.registry.login_server
}

output "key_vault_name" {
  description = "Name of the vault of the gateway's secrets."
  value       = module.key_vault.name
}

output "key_vault_uri" {
  description = "Address of the vault."
  value       = module.key_vault.uri
}

output "gateway_identity_id" {
  description = "Identity that the gateway runs as, with its roles assigned."
  value       = module.gateway_identity.id
}

output "gateway_identity_client_id" {
  description = "Client id of the gateway's identity."
  value       = module.gateway_identity.client_id
}

output "gateway_identity_principal_id" {
  description = "Object id of the gateway's identity, for role assignments."
  value       = module.gateway_identity.principal_id
}

output "virtual_network_id" {
  description = "Resource id of the virtual network, for links of private DNS zones and for peering; null without one."
  value       = one(module.network[*].virtual_network_id)
}

output "endpoints_subnet_id" {
  description = "Subnet for private endpoints; null without a virtual network."
  value       = one(module.network[*].endpoints_subnet_id)
}
