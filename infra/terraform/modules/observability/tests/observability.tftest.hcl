mock_provider "azurerm" {
  mock_resource "azurerm_log_analytics_workspace" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w" }
  }
  mock_resource "azurerm_monitor_action_group" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/actionGroups/ag" }
  }
  mock_resource "azurerm_monitor_workspace" {
    defaults = {
      id                                  = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Monitor/accounts/amw"
      default_data_collection_endpoint_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/managed/providers/Microsoft.Insights/dataCollectionEndpoints/amw-endpoint"
      default_data_collection_rule_id     = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/managed/providers/Microsoft.Insights/dataCollectionRules/amw-rule"
    }
  }
  mock_data "azurerm_monitor_data_collection_endpoint" {
    defaults = { metrics_ingestion_endpoint = "https://amw.example.metrics.ingest.monitor.azure.com" }
  }
  mock_data "azurerm_monitor_data_collection_rule" {
    defaults = { immutable_id = "dcr-0123" }
  }
}

variables {
  stem                 = "aigw-dev"
  resource_group_name  = "rg"
  location             = "swedencentral"
  log_retention_days   = 30
  log_daily_quota_gb   = 5
  trace_retention_days = 90
  alert_emails         = { oncall = "oncall@example.com" }
  alert_webhooks       = {}
  alerts_enabled       = true
  thresholds           = { error_percent = 5, exhausted_percent = 2, failover_percent = 30, silent_minutes = 10, daily_budget_usd = 100 }
  grafana              = { enabled = false, major_version = "12" }
  tags                 = {}
}

run "metrics_are_written_to_the_workspaces_own_rule" {
  assert {
    condition     = output.metrics_remote_write_url == "https://amw.example.metrics.ingest.monitor.azure.com/dataCollectionRules/dcr-0123/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"
    error_message = "The remote write address is wrong."
  }
  assert {
    condition     = data.azurerm_monitor_data_collection_rule.metrics.name == "amw-rule" && data.azurerm_monitor_data_collection_rule.metrics.resource_group_name == "managed"
    error_message = "The rule must be looked up by the parts of its id."
  }
}

run "the_workspace_key_opens_nothing" {
  assert {
    condition     = !azurerm_log_analytics_workspace.this.local_authentication_enabled
    error_message = "Its shared key is in Terraform state: it must be switched off."
  }
}

run "the_connection_string_opens_nothing" {
  assert {
    condition     = !azurerm_application_insights.this.local_authentication_enabled
    error_message = "The connection string is in Terraform state: telemetry must not come in with it alone."
  }
}

run "who_writes_traces_is_given_a_role_on_the_component" {
  assert {
    condition     = output.application_insights_id == azurerm_application_insights.this.id
    error_message = "The id of the component must be handed out."
  }
}

run "every_alert_notifies_a_receiver" {
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.requests : length(alert.action[0].action_groups) == 1])
    error_message = "An alert without an action group notifies nobody."
  }
}

run "metrics_of_the_workspace_raise_alerts" {
  assert {
    condition     = azurerm_monitor_alert_prometheus_rule_group.gateway.scopes == tolist([azurerm_monitor_workspace.this.id])
    error_message = "The rules must read the workspace that the collector writes to."
  }
  assert {
    condition     = toset(azurerm_monitor_alert_prometheus_rule_group.gateway.rule[*].alert) == toset(["exhausted", "no-capacity", "backend-resting", "failover", "backend-credential", "forbidden-everywhere", "telemetry-dropped", "client-budget-nearly-used", "client-budget-used-up", "silent", "budget"])
    error_message = "Each rule of the file must be there."
  }
  assert {
    condition     = alltrue([for rule in azurerm_monitor_alert_prometheus_rule_group.gateway.rule : rule.enabled && rule.action[0].action_group_id == azurerm_monitor_action_group.this.id])
    error_message = "A rule must be on and notify a receiver."
  }
}

run "thresholds_reach_the_rules" {
  variables {
    thresholds = { error_percent = 5, exhausted_percent = 7, failover_percent = 55, silent_minutes = 0, daily_budget_usd = 0 }
  }

  assert {
    condition     = strcontains(azurerm_monitor_alert_prometheus_rule_group.gateway.rule[0].expression, "> 7 and") && strcontains(azurerm_monitor_alert_prometheus_rule_group.gateway.rule[3].expression, "> 55 and")
    error_message = "The thresholds of the variables must be those of the rules."
  }
  assert {
    condition     = toset(azurerm_monitor_alert_prometheus_rule_group.gateway.rule[*].alert) == toset(["exhausted", "no-capacity", "backend-resting", "failover", "backend-credential", "forbidden-everywhere", "telemetry-dropped", "client-budget-nearly-used", "client-budget-used-up"])
    error_message = "Without a threshold, the alerts on silence and on the budget must be off."
  }
}

run "rules_are_off_when_alerts_are" {
  variables {
    alerts_enabled = false
  }

  assert {
    condition     = !azurerm_monitor_alert_prometheus_rule_group.gateway.rule_group_enabled
    error_message = "The group must be off."
  }
}

run "alerts_measure_the_column_that_their_query_makes" {
  assert {
    condition     = alltrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.requests : strcontains(alert.criteria[0].query, "project ${alert.criteria[0].metric_measure_column} = ")])
    error_message = "An alert on a column that is not there never fires."
  }
  assert {
    condition     = !anytrue([for alert in azurerm_monitor_scheduled_query_rules_alert_v2.requests : strcontains(alert.criteria[0].query, "MATCHING")])
    error_message = "Each query must have its own condition."
  }
}

run "the_workbook_opens_with_the_gateways_metrics" {
  assert {
    condition     = jsondecode(azurerm_application_insights_workbook.gateway.data_json).items[1].content.parameters[1].value == azurerm_monitor_workspace.this.id
    error_message = "The workbook must read the workspace that the collector writes to."
  }
}

run "grafana_is_made_only_when_it_is_wanted" {
  assert {
    condition     = length(azurerm_dashboard_grafana.this) == 0 && length(azurerm_role_assignment.grafana) == 0
    error_message = "Grafana costs money: nobody may get it unasked."
  }
}

run "grafana_reads_the_metrics" {
  variables {
    grafana = { enabled = true, major_version = "12" }
  }

  assert {
    condition     = azurerm_dashboard_grafana.this[0].azure_monitor_workspace_integrations[0].resource_id == azurerm_monitor_workspace.this.id
    error_message = "Grafana must have the workspace as a data source."
  }
  assert {
    condition     = azurerm_role_assignment.grafana[0].scope == azurerm_monitor_workspace.this.id && azurerm_role_assignment.grafana[0].role_definition_name == "Monitoring Data Reader"
    error_message = "Grafana must have the right to read the workspace, and no more."
  }
}
