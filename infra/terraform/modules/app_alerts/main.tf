# Alerts on what the platform itself measures. They fire even when the gateway or its collector reports nothing.
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
      # Each sample is a running total of a replica's restarts. A sum over the window would count each restart every minute.
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

  # With max_replicas = 1 the first rule would report the normal state; with min_replicas = 0 the second could never fire.
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

    # The app may be as new as the rule and have no metrics yet.
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
