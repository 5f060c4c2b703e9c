# Managed Grafana over the metrics, for those who want it. The dashboard is imported by hand: the provider has no resource
# for it.
resource "azurerm_dashboard_grafana" "this" {
  count = var.grafana.enabled ? 1 : 0

  # At most 23 characters, and the last one a letter or a digit.
  name                          = trimsuffix(substr("amg-${var.stem}", 0, 23), "-")
  resource_group_name           = var.resource_group_name
  location                      = var.location
  grafana_major_version         = var.grafana.major_version
  sku                           = "Standard"
  api_key_enabled               = false
  public_network_access_enabled = true

  identity {
    type = "SystemAssigned"
  }

  # Gives Grafana a Prometheus data source of this workspace.
  azure_monitor_workspace_integrations {
    resource_id = azurerm_monitor_workspace.this.id
  }

  tags = var.tags
}

# Grafana reads the metrics as itself.
resource "azurerm_role_assignment" "grafana" {
  count = var.grafana.enabled ? 1 : 0

  name                 = uuidv5("url", "${azurerm_monitor_workspace.this.id}/reader/${azurerm_dashboard_grafana.this[0].identity[0].principal_id}")
  scope                = azurerm_monitor_workspace.this.id
  role_definition_name = "Monitoring Data Reader"
  principal_id         = azurerm_dashboard_grafana.this[0].identity[0].principal_id
  principal_type       = "ServicePrincipal"
}
