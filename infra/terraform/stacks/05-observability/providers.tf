provider "azurerm" {
  subscription_id = var.subscription_id

  # Only the resource providers of this stack are registered. `none` is the default of azurerm 5; 4.x would register sixty.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.AlertsManagement", "Microsoft.Dashboard", "Microsoft.Insights", "Microsoft.Monitor", "Microsoft.OperationalInsights"]

  # Key access to the state storage is off, so the provider must use a token too.
  storage_use_azuread = true

  features {
    resource_group {
      # Application Insights makes an action group and a detector by itself, which are in no state.
      prevent_deletion_if_contains_resources = false
    }

    log_analytics_workspace {
      permanently_delete_on_destroy = false
    }
  }
}
