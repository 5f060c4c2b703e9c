resource "azurerm_cognitive_account" "this" {
  #checkov:skip=CKV2_AZURE_22:Model accounts keep customer data only for the stateful APIs; a customer-managed key is the decision of the owner of that data.
  #checkov:skip=CKV_AZURE_134:Without private endpoints the gateway calls the public address, with a token; with them public access is switched off below.
  #checkov:skip=CKV_AZURE_247:Outbound rules concern features (URL grounding, customer storage) that the gateway does not use.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  kind                = var.kind
  sku_name            = "S0"

  # Only an account with a subdomain of its own accepts Entra tokens.
  custom_subdomain_name = var.name

  # The provider would read the account's keys into the state. With key access off the account has none that work.
  local_auth_enabled = false

  # False closes the public address completely, so address rules are not needed.
  public_network_access_enabled = !var.private

  identity {
    type = "SystemAssigned"
  }

  tags = var.tags
}

# Azure accepts one deployment change at a time for each account. The provider locks the account meanwhile, so the
# deployments of one account follow one another, and accounts run side by side.
resource "azurerm_cognitive_deployment" "this" {
  for_each = var.deployments

  name                 = each.key
  cognitive_account_id = azurerm_cognitive_account.this.id

  model {
    format  = each.value.format
    name    = each.value.model
    version = each.value.version
  }

  sku {
    name     = each.value.sku
    capacity = each.value.capacity
  }

  rai_policy_name        = each.value.content_filter
  version_upgrade_option = each.value.upgrade
}

# This role may call models. It may not read keys, change deployments or upload training data.
resource "azurerm_role_assignment" "gateway" {
  name                 = uuidv5("url", "${azurerm_cognitive_account.this.id}/user/${var.gateway_principal_id}")
  scope                = azurerm_cognitive_account.this.id
  role_definition_name = "Cognitive Services OpenAI User"
  principal_id         = var.gateway_principal_id
  principal_type       = "ServicePrincipal"
}
