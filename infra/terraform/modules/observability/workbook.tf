# The gateway's metrics in the portal, for those who have no Grafana. Its readers need Monitoring Data Reader on the
# workspace.
locals {
  # The file itself opens with the first workspace that the reader can see; here it opens with this one.
  workbook = replace(
    file("${path.module}/../../../../dashboards/azure-openai-gateway.workbook.json"),
    "\"value\": \"value::1\"",
    "\"value\": ${jsonencode(azurerm_monitor_workspace.this.id)}",
  )
}

resource "azurerm_application_insights_workbook" "gateway" {
  # Azure asks for a UUID. This one is the same after a re-creation.
  name                = uuidv5("url", azurerm_monitor_workspace.this.id)
  display_name        = "Azure OpenAI gateway (${var.stem})"
  resource_group_name = var.resource_group_name
  location            = var.location
  data_json           = local.workbook
  tags                = var.tags
}
