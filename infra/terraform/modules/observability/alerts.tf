# Alerts on the gateway's records, one for each request, without sampling. The collector sends them as logs in every log
# mode; the console is not needed. Alerts on the gateway's metrics are in metrics.tf, alerts on the platform's metrics in the module app_alerts.
locals {
  # On every surface. What strangers look for elsewhere is 404, and would thin the percentage out.
  requests = <<-KQL
    AppTraces
    | where isnotempty(Properties.outcome) and tostring(Properties.path) matches regex "^/(openai|anthropic|models)/"
    | extend status = toint(Properties.status)
  KQL

  # A percentage of very few requests means nothing.
  share = <<-KQL
    | summarize total = count(), matching = countif(MATCHING)
    | where total >= 20
    | project percent = 100.0 * matching / total
  KQL

  alerts = {
    errors = {
      description = "Clients get 5xx answers: no backend could serve them."
      severity    = 1
      # The limit of a lane is no failure, whatever AI_RATE_LIMIT_REJECT_CODE makes of it.
      matching  = "status >= 500 and tostring(Properties.error) != \"lane\""
      threshold = var.thresholds.error_percent
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "requests" {
  for_each = local.alerts

  name                    = "alert-${var.stem}-${each.key}"
  display_name            = "${var.stem}: ${each.key}"
  description             = each.value.description
  resource_group_name     = var.resource_group_name
  location                = var.location
  scopes                  = [azurerm_log_analytics_workspace.this.id]
  severity                = each.value.severity
  enabled                 = var.alerts_enabled
  evaluation_frequency    = "PT5M"
  window_duration         = "PT10M"
  auto_mitigation_enabled = true

  # The first record makes the table, so it does not exist yet.
  skip_query_validation = true

  criteria {
    query                   = "${local.requests}${replace(local.share, "MATCHING", each.value.matching)}"
    metric_measure_column   = "percent"
    time_aggregation_method = "Maximum"
    operator                = "GreaterThan"
    threshold               = each.value.threshold

    failing_periods {
      minimum_failing_periods_to_trigger_alert = 1
      number_of_evaluation_periods             = 1
    }
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }

  tags = var.tags
}

# The alerts above read the workspace, so an alert must tell when it stops taking logs.
resource "azurerm_monitor_scheduled_query_rules_alert_v2" "log_cap" {
  name                    = "alert-${var.stem}-log-cap"
  display_name            = "${var.stem}: log-cap"
  description             = "The workspace has reached its daily cap and takes no more logs today."
  resource_group_name     = var.resource_group_name
  location                = var.location
  scopes                  = [azurerm_log_analytics_workspace.this.id]
  severity                = 2
  enabled                 = var.alerts_enabled
  evaluation_frequency    = "PT15M"
  window_duration         = "PT15M"
  auto_mitigation_enabled = true
  skip_query_validation   = true

  criteria {
    query                   = "_LogOperation | where Category =~ \"Ingestion\" and Detail has \"OverQuota\""
    time_aggregation_method = "Count"
    operator                = "GreaterThan"
    threshold               = 0

    failing_periods {
      minimum_failing_periods_to_trigger_alert = 1
      number_of_evaluation_periods             = 1
    }
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }

  tags = var.tags
}
