resource "azurerm_user_assigned_identity" "gateway" {
  name                = "id-${var.stem}-gateway"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

locals {
  # Each role is assigned on a single resource. The stack that makes the model accounts assigns the role to call them.
  roles = {
    pull_images   = { role = "AcrPull", scope = var.registry_id }
    read_secrets  = { role = "Key Vault Secrets User", scope = var.key_vault_id }
    write_metrics = { role = "Monitoring Metrics Publisher", scope = var.metrics_data_collection_rule_id }
    # Application Insights needs this role for every kind of telemetry, in spite of its name.
    write_traces = { role = "Monitoring Metrics Publisher", scope = var.application_insights_id }
  }
}

resource "azurerm_role_assignment" "gateway" {
  for_each = local.roles

  name                 = uuidv5("url", "${each.value.scope}/${each.key}/${azurerm_user_assigned_identity.gateway.principal_id}")
  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.gateway.principal_id
  # The directory may not know a new identity yet. With its type given, Azure does not look it up there.
  principal_type = "ServicePrincipal"
}
