# The gateway needs these: registry, vault, identity and environment. They change rarely, the workload often.
data "azurerm_client_config" "current" {}

locals {
  deployers = length(var.deployer_principals) > 0 ? var.deployer_principals : {
    deployer = data.azurerm_client_config.current.object_id
  }
  private = var.private_endpoints_enabled

  # The targets of the private endpoints, and the DNS zones with their addresses.
  private_targets = {
    vault    = { id = module.key_vault.id, name = module.key_vault.name }
    registry = { id = module.registry.id, name = module.registry.name }
  }
  private_zones = {
    vault    = { name = "privatelink.vaultcore.azure.net", existing = var.private_dns_zone_ids.key_vault }
    registry = { name = "privatelink.azurecr.io", existing = var.private_dns_zone_ids.registry }
  }
}

resource "azurerm_resource_group" "platform" {
  name     = "rg-${module.naming.stem}-platform"
  location = var.location
  tags     = local.tags
}

module "network" {
  count  = var.network_address_space == null ? 0 : 1
  source = "../../modules/network"

  stem                = module.naming.stem
  resource_group_name = azurerm_resource_group.platform.name
  location            = azurerm_resource_group.platform.location
  address_space       = var.network_address_space
  tags                = local.tags
}

module "registry" {
  source = "../../modules/registry"

  name                       = module.naming.container_registry
  resource_group_name        = azurerm_resource_group.platform.name
  location                   = azurerm_resource_group.platform.location
  sku                        = var.registry_sku
  private                    = local.private
  log_analytics_workspace_id = var.log_analytics_workspace_id
  tags                       = local.tags
}

# Deployers push images with their own tokens. The key of each assignment is the object id, as for the state.
resource "azurerm_role_assignment" "push" {
  for_each = toset(values(local.deployers))

  name                 = uuidv5("url", "${module.registry.id}/push/${each.value}")
  scope                = module.registry.id
  role_definition_name = "AcrPush"
  principal_id         = each.value
  description          = "Pushes the gateway's images."
}

module "key_vault" {
  source = "../../modules/key_vault"

  name                       = module.naming.key_vault
  resource_group_name        = azurerm_resource_group.platform.name
  location                   = azurerm_resource_group.platform.location
  tenant_id                  = data.azurerm_client_config.current.tenant_id
  soft_delete_retention_days = var.key_vault_retention_days
  private                    = local.private
  allowed_ip_ranges          = var.key_vault_allowed_ip_ranges
  secret_officers            = local.deployers
  log_analytics_workspace_id = var.log_analytics_workspace_id
  tags                       = local.tags
}

module "gateway_identity" {
  source = "../../modules/gateway_identity"

  stem                            = module.naming.stem
  resource_group_name             = azurerm_resource_group.platform.name
  location                        = azurerm_resource_group.platform.location
  registry_id                     = module.registry.id
  key_vault_id                    = module.key_vault.id
  metrics_data_collection_rule_id = var.metrics_data_collection_rule_id
  application_insights_id         = var.application_insights_id
  tags                            = local.tags
}

module "environment" {
  source = "../../modules/container_environment"

  stem                       = module.naming.stem
  resource_group_name        = azurerm_resource_group.platform.name
  location                   = azurerm_resource_group.platform.location
  log_analytics_workspace_id = var.log_analytics_workspace_id
  subnet_id                  = one(module.network[*].apps_subnet_id)
  internal                   = var.environment_internal
  zone_redundant             = var.zone_redundancy_enabled
  tags                       = local.tags
}

# No public DNS has the names of an internal environment.
module "environment_zone" {
  count  = var.environment_internal && var.private_dns_zones_enabled ? 1 : 0
  source = "../../modules/private_dns_zone"

  name                = module.environment.default_domain
  resource_group_name = azurerm_resource_group.platform.name
  virtual_network_id  = one(module.network[*].virtual_network_id)
  records             = { "*" = module.environment.static_ip_address }
  tags                = local.tags
}

module "private_dns_zone" {
  for_each = local.private && var.private_dns_zones_enabled ? {
    for target, zone in local.private_zones : target => zone.name if zone.existing == null
  } : {}
  source = "../../modules/private_dns_zone"

  name                = each.value
  resource_group_name = azurerm_resource_group.platform.name
  virtual_network_id  = one(module.network[*].virtual_network_id)
  tags                = local.tags
}

module "private_endpoint" {
  for_each = local.private ? local.private_zones : {}
  source   = "../../modules/private_endpoint"

  name                = local.private_targets[each.key].name
  resource_group_name = azurerm_resource_group.platform.name
  location            = azurerm_resource_group.platform.location
  subnet_id           = one(module.network[*].endpoints_subnet_id)
  target_resource_id  = local.private_targets[each.key].id
  subresource         = each.key
  private_dns_zone_id = each.value.existing != null ? each.value.existing : try(module.private_dns_zone[each.key].id, null)
  tags                = local.tags
}
