resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_163:Defender for Cloud scans images; that is switched on for a subscription, not for a registry.
  #checkov:skip=CKV_AZURE_164:Azure retired content trust, and azurerm 5 has no argument for it; a tag is a digest of the image's sources.
  #checkov:skip=CKV_AZURE_165:Only one region pulls these images; a replica would double the price for nothing.
  #checkov:skip=CKV_AZURE_166:Quarantine needs a scanner that releases images; without one no image could be pulled.
  #checkov:skip=CKV_AZURE_167:Retention of untagged manifests needs Premium; it is set for Premium below.
  #checkov:skip=CKV_AZURE_233:Premium has zone redundancy automatically where the region has zones.
  #checkov:skip=CKV_AZURE_237:Dedicated data endpoints need Premium; they are set for Premium below.
  #checkov:skip=CKV_AZURE_139:Builds in the registry run on agents with public addresses; with private endpoints public access is switched off below.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = var.sku

  # The gateway pulls and the deployer pushes, each with an own identity. There is no password that could leak.
  admin_enabled          = false
  anonymous_pull_enabled = false

  public_network_access_enabled = !var.private
  retention_policy_in_days      = var.sku == "Premium" ? 7 : null
  data_endpoint_enabled         = var.sku == "Premium"

  tags = var.tags

  lifecycle {
    precondition {
      condition     = !var.private || var.sku == "Premium"
      error_message = "A registry behind a private endpoint needs registry_sku = \"Premium\"."
    }
  }
}

# Logins, and the images that were pushed and pulled.
resource "azurerm_monitor_diagnostic_setting" "audit" {
  name                       = "audit"
  target_resource_id         = azurerm_container_registry.this.id
  log_analytics_workspace_id = var.log_analytics_workspace_id

  enabled_log {
    category = "ContainerRegistryLoginEvents"
  }

  enabled_log {
    category = "ContainerRegistryRepositoryEvents"
  }
}
