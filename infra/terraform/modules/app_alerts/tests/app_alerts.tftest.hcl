mock_provider "azurerm" {}

variables {
  stem                = "aigw-dev"
  resource_group_name = "rg"
  app_id              = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/containerApps/ca"
  action_group_id     = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/actionGroups/ag"
  enabled             = true
  min_replicas        = 1
  max_replicas        = 5
  tags                = {}
}

run "every_rule_notifies_a_receiver" {
  command = plan

  assert {
    condition     = alltrue([for rule in azurerm_monitor_metric_alert.app : length(rule.action) == 1])
    error_message = "A rule without an action notifies nobody."
  }
}

run "restarts_are_not_counted_once_a_minute" {
  command = plan

  assert {
    condition     = azurerm_monitor_metric_alert.app["restarts"].criteria[0].aggregation == "Maximum"
    error_message = "The metric is a count so far: its sum grows by itself."
  }
}

run "rules_that_cannot_fire_are_left_out" {
  command = plan

  variables {
    min_replicas = 0
    max_replicas = 1
  }

  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.app)) == toset(["server-errors", "restarts"])
    error_message = "With these replicas the other two say nothing."
  }
}
