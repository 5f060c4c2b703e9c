resource "azurerm_user_assigned_identity" "gateway" {
  name                = "id-${var.stem}-gateway"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

locals {
  # What the gateway may do, each on the one resource it is about. Its right to call models is granted by the stack
  # that makes the accounts.
  roles = {
    pull_images   = { role = "AcrPull", scope = var.registry_id }
    read_secrets  = { role = "Key Vault Secrets User", scope = var.key_vault_id }
    write_metrics = { role = "Monitoring Metrics Publisher", scope = var.metrics_data_collection_rule_id }
    # The role's name speaks of metrics; Application Insights asks for it for every kind of telemetry.
    write_traces = { role = "Monitoring Metrics Publisher", scope = var.application_insights_id }
  }
}

resource "azurerm_role_assignment" "gateway" {
  for_each = local.roles

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.gateway.principal_id
  # A new identity may not be known to the directory yet; naming its type spares the look-up that would fail.
  principal_type = "ServicePrincipal"
}
