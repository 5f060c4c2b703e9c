# Alerts on what the platform itself measures: they fire even when the gateway or its collector cannot say a word.
locals {
  rules = {
    server-errors = {
      description = "Clients get 5xx answers from the gateway."
      severity    = 1
      metric      = "Requests"
      aggregation = "Total"
      operator    = "GreaterThan"
      threshold   = 10
      window      = "PT5M"
      dimension   = { name = "statusCodeCategory", values = ["5xx"] }
    }
    restarts = {
      # Each sample is a replica's restarts so far: a sum over the window would count every restart once a minute.
      description = "A replica of the gateway has restarted more than three times."
      severity    = 2
      metric      = "RestartCount"
      aggregation = "Maximum"
      operator    = "GreaterThan"
      threshold   = 3
      window      = "PT15M"
      dimension   = null
    }
    at-its-limit = {
      description = "As many replicas as max_replicas allows have been running for a quarter of an hour."
      severity    = 2
      metric      = "Replicas"
      aggregation = "Minimum"
      operator    = "GreaterThanOrEqual"
      threshold   = var.max_replicas
      window      = "PT15M"
      dimension   = null
    }
    no-replica = {
      description = "Fewer replicas than min_replicas are running."
      severity    = 0
      metric      = "Replicas"
      aggregation = "Maximum"
      operator    = "LessThan"
      threshold   = var.min_replicas
      window      = "PT5M"
      dimension   = null
    }
  }

  # With one replica at most or none at least, these two would tell of the normal state, or of nothing.
  useful = {
    for name, rule in local.rules : name => rule
    if !(name == "at-its-limit" && var.max_replicas <= max(var.min_replicas, 1)) && !(name == "no-replica" && var.min_replicas == 0)
  }
}

resource "azurerm_monitor_metric_alert" "app" {
  for_each = local.useful

  name                = "alert-${var.stem}-${each.key}"
  resource_group_name = var.resource_group_name
  scopes              = [var.app_id]
  description         = each.value.description
  severity            = each.value.severity
  enabled             = var.enabled
  frequency           = "PT1M"
  window_size         = each.value.window

  criteria {
    metric_namespace = "Microsoft.App/containerapps"
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = each.value.operator
    threshold        = each.value.threshold

    # The app is as new as the rule: its metrics may not have been emitted yet.
    skip_metric_validation = true

    dynamic "dimension" {
      for_each = each.value.dimension == null ? [] : [each.value.dimension]

      content {
        name     = dimension.value.name
        operator = "Include"
        values   = dimension.value.values
      }
    }
  }

  action {
    action_group_id = var.action_group_id
  }

  tags = var.tags
}
