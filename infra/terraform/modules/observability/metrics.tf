# Alerts on the gateway's metrics. They need the collector. The log mode and the daily cap of logs do not matter to them.
locals {
  all_rules = yamldecode(templatefile("${path.module}/prometheus-rules.yaml.tftpl", var.thresholds)).groups[0].rules

  # These two are off without a threshold: a gateway that may scale to zero is silent now and then, and not everybody has
  # a budget.
  thresholds_of = { silent = var.thresholds.silent_minutes, budget = var.thresholds.daily_budget_usd }
  metric_rules  = [for rule in local.all_rules : rule if lookup(local.thresholds_of, rule.alert, 1) > 0]
}

resource "azurerm_monitor_alert_prometheus_rule_group" "gateway" {
  name                = "alerts-${var.stem}"
  description         = "Alerts on the gateway's own metrics about its backends."
  resource_group_name = var.resource_group_name
  location            = var.location
  scopes              = [azurerm_monitor_workspace.this.id]
  rule_group_enabled  = var.alerts_enabled
  interval            = "PT1M"

  dynamic "rule" {
    for_each = local.metric_rules

    content {
      alert       = rule.value.alert
      expression  = rule.value.expr
      severity    = tonumber(rule.value.labels.severity)
      annotations = rule.value.annotations
      enabled     = true

      action {
        action_group_id = azurerm_monitor_action_group.this.id
      }

      alert_resolution {
        auto_resolved   = true
        time_to_resolve = "PT10M"
      }
    }
  }

  tags = var.tags
}
