# What the gateway's metrics say, in the portal, for those who have no Grafana. Reading them takes Monitoring Data Reader on
# the workspace.
locals {
  # As it is, the workbook opens with the first workspace that its reader can see.
  workbook = replace(
    file("${path.module}/../../../../dashboards/azure-openai-gateway.workbook.json"),
    "\"value\": \"value::1\"",
    "\"value\": ${jsonencode(azurerm_monitor_workspace.this.id)}",
  )
}

resource "azurerm_application_insights_workbook" "gateway" {
  # Azure wants a UUID, and this one is the same after a re-creation.
  name                = uuidv5("url", azurerm_monitor_workspace.this.id)
  display_name        = "Azure OpenAI gateway (${var.stem})"
  resource_group_name = var.resource_group_name
  location            = var.location
  data_json           = local.workbook
  tags                = var.tags
}
