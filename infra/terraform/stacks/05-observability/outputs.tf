output "log_analytics_workspace_id" {
  description = "Resource id of the Log Analytics workspace."
  value       = module.observability.log_analytics_workspace_id
}

output "application_insights_id" {
  description = "Resource id of the component. The gateway's identity gets Monitoring Metrics Publisher on it."
  value       = module.observability.application_insights_id
}

output "application_insights_name" {
  description = "Name of the Application Insights component."
  value       = module.observability.application_insights_name
}

output "application_insights_connection_string" {
  description = "Connection string that tells the collector where traces go. Writing them needs a token. The deploy command puts it into Key Vault; no other stack reads it."
  value       = module.observability.application_insights_connection_string
  sensitive   = true
}

output "monitor_workspace_id" {
  description = "Resource id of the managed Prometheus workspace."
  value       = module.observability.monitor_workspace_id
}

output "metrics_query_endpoint" {
  description = "Address at which Grafana queries the metrics."
  value       = module.observability.metrics_query_endpoint
}

output "metrics_data_collection_rule_id" {
  description = "Resource id of the rule. The gateway's identity gets Monitoring Metrics Publisher on it."
  value       = module.observability.metrics_data_collection_rule_id
}

output "metrics_remote_write_url" {
  description = "Prometheus remote write address for the collector."
  value       = module.observability.metrics_remote_write_url
}

output "action_group_id" {
  description = "Resource id of the action group that alerts notify."
  value       = module.observability.action_group_id
}

output "grafana_endpoint" {
  description = "Address of managed Grafana; null without one."
  value       = module.observability.grafana_endpoint
}
