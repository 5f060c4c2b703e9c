resource "azurerm_cognitive_account" "this" {
  #checkov:skip=CKV2_AZURE_22:Model accounts hold no customer data at rest but what the stateful APIs keep; a customer-managed key is a decision of the data's owner.
  #checkov:skip=CKV_AZURE_134:Without a virtual network the gateway calls over the public address, with a token; with one public access is switched off below.
  #checkov:skip=CKV_AZURE_247:Outbound rules concern features (URL grounding, customer storage) that the gateway does not use.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  kind                = var.kind
  sku_name            = "S0"

  # Entra tokens are accepted only on an account with a subdomain of its own.
  custom_subdomain_name = var.name

  # The provider reads the keys of an account that takes them into Terraform state. This one takes tokens only.
  local_auth_enabled = false

  # Shuts the public address altogether; rules for it would have nothing left to decide.
  public_network_access_enabled = !var.private

  identity {
    type = "SystemAssigned"
  }

  tags = var.tags
}

# Azure takes one deployment change at a time for an account. The provider holds a lock on the account while it creates,
# changes or deletes one, so those of an account run one after another and accounts run side by side.
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

# Calls models; cannot read keys, change deployments or upload training data.
resource "azurerm_role_assignment" "gateway" {
  scope                = azurerm_cognitive_account.this.id
  role_definition_name = "Cognitive Services OpenAI User"
  principal_id         = var.gateway_principal_id
  principal_type       = "ServicePrincipal"
}
