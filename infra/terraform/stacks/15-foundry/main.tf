# Azure OpenAI / Foundry accounts and their model deployments, in as many regions as you like. The deploy command makes each
# account of the output a backend of the gateway.
resource "azurerm_resource_group" "foundry" {
  name     = "rg-${module.naming.stem}-foundry"
  location = var.location
  tags     = local.tags
}

module "account" {
  for_each = var.accounts
  source   = "../../modules/foundry_account"

  name                 = "oai-${module.naming.stem}-${each.key}-${module.naming.suffix}"
  resource_group_name  = azurerm_resource_group.foundry.name
  location             = each.value.location
  kind                 = each.value.kind
  private              = var.private_endpoints_enabled
  deployments          = each.value.deployments
  gateway_principal_id = var.gateway_identity_principal_id
  tags                 = local.tags
}

module "private_dns_zone" {
  count  = var.private_endpoints_enabled && var.private_dns_zones_enabled && var.private_dns_zone_id == null ? 1 : 0
  source = "../../modules/private_dns_zone"

  name                = "privatelink.openai.azure.com"
  resource_group_name = azurerm_resource_group.foundry.name
  virtual_network_id  = var.virtual_network_id
  tags                = local.tags
}

module "private_endpoint" {
  for_each = var.private_endpoints_enabled ? var.accounts : {}
  source   = "../../modules/private_endpoint"

  # Azure refuses an endpoint while the account is still making a deployment.
  depends_on = [module.account]

  name                = module.account[each.key].name
  resource_group_name = azurerm_resource_group.foundry.name
  location            = var.location
  subnet_id           = var.endpoints_subnet_id
  target_resource_id  = module.account[each.key].id
  subresource         = "account"
  private_dns_zone_id = var.private_dns_zone_id != null ? var.private_dns_zone_id : one(module.private_dns_zone[*].id)
  tags                = local.tags
}
