resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_163:Scanning is a plan of Defender for Cloud, switched on for a subscription and not for a registry.
  #checkov:skip=CKV_AZURE_164:Content trust is retired by the service and gone from azurerm 5; images are deployed by content digest.
  #checkov:skip=CKV_AZURE_165:One region pulls these images; a geo-replica doubles the price and serves nobody.
  #checkov:skip=CKV_AZURE_166:Quarantine needs a scanner that releases images; without one nothing could ever be pulled.
  #checkov:skip=CKV_AZURE_167:Retention of untagged manifests needs Premium; set there below.
  #checkov:skip=CKV_AZURE_233:Zone redundancy comes with Premium by itself where the region has zones.
  #checkov:skip=CKV_AZURE_237:Dedicated data endpoints need Premium; set there below.
  #checkov:skip=CKV_AZURE_139:Builds in the registry run on agents with public addresses; with private endpoints public access is switched off below.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = var.sku

  # Pulls come with the gateway's identity, pushes with the deployer's: there is no password to leak.
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

# Who logged in, and which images were pushed and pulled.
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
