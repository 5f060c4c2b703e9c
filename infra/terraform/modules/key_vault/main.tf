# tflint-ignore: azurerm_resources_missing_prevent_destroy # Purge protection keeps it and its secrets; `destroy` asks.
resource "azurerm_key_vault" "this" {
  #checkov:skip=CKV_AZURE_189:A deployer's machine or CI writes the secrets; with private endpoints public access is switched off below.
  #checkov:skip=CKV_AZURE_109:As above; allowed_ip_ranges makes the default action Deny.
  #checkov:skip=CKV2_AZURE_32:The stack makes the private endpoint when private_endpoints_enabled is set.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  tenant_id           = var.tenant_id
  sku_name            = "standard"

  rbac_authorization_enabled = true
  purge_protection_enabled   = true
  soft_delete_retention_days = var.soft_delete_retention_days

  public_network_access_enabled = !var.private

  network_acls {
    # These are the services that Microsoft trusts. Container Apps is not one of them.
    bypass         = "AzureServices"
    default_action = var.private || length(var.allowed_ip_ranges) > 0 ? "Deny" : "Allow"
    ip_rules       = var.allowed_ip_ranges
  }

  tags = var.tags
}

# The deploy command writes the secrets, never Terraform, and needs this role for it. The key of each assignment is the
# object id, as for the state: a changed label must not remove the role.
resource "azurerm_role_assignment" "officers" {
  for_each = toset(values(var.secret_officers))

  name                 = uuidv5("url", "${azurerm_key_vault.this.id}/officer/${each.value}")
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = each.value
  description          = "Seeds the gateway's secrets."
}

resource "azurerm_monitor_diagnostic_setting" "audit" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = var.log_analytics_workspace_id

  enabled_log {
    category = "AuditEvent"
  }
}
