resource "azurerm_log_analytics_workspace" "this" {
  name                = "log-${var.stem}"
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "PerGB2018"
  retention_in_days   = var.log_retention_days
  daily_quota_gb      = var.log_daily_quota_gb

  # Terraform keeps the shared key in its state, so the key must open nothing. Logs come in through diagnostic settings.
  local_authentication_enabled = false

  tags = var.tags
}

# Records and traces, written by the collector with the gateway's identity.
resource "azurerm_application_insights" "this" {
  name                = "appi-${var.stem}"
  resource_group_name = var.resource_group_name
  location            = var.location
  workspace_id        = azurerm_log_analytics_workspace.this.id
  application_type    = "web"
  retention_in_days   = var.trace_retention_days

  # Terraform keeps the connection string in its state, so it must open nothing. Writing needs a token and the role.
  local_authentication_enabled = false

  # The gateway samples already. A second sampling here would make every rate wrong.
  sampling_percentage = 100

  tags = var.tags
}

# Metrics: managed Prometheus, written by the collector with the gateway's identity.
resource "azurerm_monitor_workspace" "this" {
  name                = "amw-${var.stem}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

locals {
  # The workspace has its own collection endpoint and rule, in a resource group that Azure manages. Only their ids are
  # known: /subscriptions/S/resourceGroups/G/providers/Microsoft.Insights/<type>/<name>.
  endpoint_id = split("/", azurerm_monitor_workspace.this.default_data_collection_endpoint_id)
  rule_id     = split("/", azurerm_monitor_workspace.this.default_data_collection_rule_id)
}

data "azurerm_monitor_data_collection_endpoint" "metrics" {
  name                = element(local.endpoint_id, length(local.endpoint_id) - 1)
  resource_group_name = element(local.endpoint_id, 4)
}

data "azurerm_monitor_data_collection_rule" "metrics" {
  name                = element(local.rule_id, length(local.rule_id) - 1)
  resource_group_name = element(local.rule_id, 4)
}

# The people and services that the alerts notify.
resource "azurerm_monitor_action_group" "this" {
  name                = "ag-${var.stem}"
  resource_group_name = var.resource_group_name
  short_name          = substr(replace(var.stem, "-", ""), 0, 12)
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = var.alert_emails

    content {
      name                    = email_receiver.key
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }

  dynamic "webhook_receiver" {
    for_each = var.alert_webhooks

    content {
      name                    = webhook_receiver.key
      service_uri             = webhook_receiver.value
      use_common_alert_schema = true
    }
  }
}
