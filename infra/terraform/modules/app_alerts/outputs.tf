output "rule_names" {
  description = "Rules in force."
  value       = sort([for rule in azurerm_monitor_metric_alert.app : rule.name])
}
