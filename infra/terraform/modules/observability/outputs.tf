output "log_analytics_workspace_id" {
  description = "Resource id of the Log Analytics workspace."
  value       = azurerm_log_analytics_workspace.this.id
}

output "application_insights_id" {
  description = "Resource id of the component. Writing to it needs Monitoring Metrics Publisher."
  value       = azurerm_application_insights.this.id
}

output "application_insights_name" {
  description = "Name of the Application Insights component."
  value       = azurerm_application_insights.this.name
}

output "application_insights_connection_string" {
  description = "Connection string that says where traces go. Writing them needs a token."
  value       = azurerm_application_insights.this.connection_string
  sensitive   = true
}

output "monitor_workspace_id" {
  description = "Resource id of the managed Prometheus workspace."
  value       = azurerm_monitor_workspace.this.id
}

output "metrics_query_endpoint" {
  description = "Address at which Grafana queries the metrics."
  value       = azurerm_monitor_workspace.this.query_endpoint
}

output "metrics_data_collection_rule_id" {
  description = "Resource id of the rule. Writing through it needs Monitoring Metrics Publisher."
  value       = data.azurerm_monitor_data_collection_rule.metrics.id
}

output "metrics_remote_write_url" {
  description = "Prometheus remote write address of the metrics workspace."
  value = join("", [
    data.azurerm_monitor_data_collection_endpoint.metrics.metrics_ingestion_endpoint,
    "/dataCollectionRules/${data.azurerm_monitor_data_collection_rule.metrics.immutable_id}",
    "/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24",
  ])
}

output "action_group_id" {
  description = "Resource id of the action group that alerts notify."
  value       = azurerm_monitor_action_group.this.id
}

output "grafana_endpoint" {
  description = "Address of managed Grafana; null without one."
  value       = one(azurerm_dashboard_grafana.this[*].endpoint)
}
