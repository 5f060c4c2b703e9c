# Logs, traces, metrics and alerts. This stack comes before the ones that send them.
resource "azurerm_resource_group" "observability" {
  name     = "rg-${module.naming.stem}-observability"
  location = var.location
  tags     = local.tags
}

module "observability" {
  source = "../../modules/observability"

  stem                 = module.naming.stem
  resource_group_name  = azurerm_resource_group.observability.name
  location             = azurerm_resource_group.observability.location
  log_retention_days   = var.log_retention_days
  log_daily_quota_gb   = var.log_daily_quota_gb
  trace_retention_days = var.trace_retention_days
  alert_emails         = var.alert_emails
  alert_webhooks       = var.alert_webhooks
  alerts_enabled       = var.alerts_enabled
  thresholds           = var.alert_thresholds
  grafana              = var.grafana
  tags                 = local.tags
}
