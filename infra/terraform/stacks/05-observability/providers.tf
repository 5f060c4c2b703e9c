provider "azurerm" {
  subscription_id = var.subscription_id

  # Only what this stack needs is registered. `none` is already the default of azurerm 5; 4.x would register sixty.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.AlertsManagement", "Microsoft.Insights", "Microsoft.Monitor", "Microsoft.OperationalInsights"]

  # Keys are switched off on the state storage, so the provider has to come with a token as well.
  storage_use_azuread = true

  features {
    resource_group {
      # Application Insights brings an action group and a detector of its own, which no state knows.
      prevent_deletion_if_contains_resources = false
    }

    log_analytics_workspace {
      permanently_delete_on_destroy = false
    }
  }
}
