provider "azurerm" {
  subscription_id = var.subscription_id

  # Only the resource providers of this stack are registered. `none` is the default of azurerm 5; 4.x would register sixty.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.CognitiveServices"]

  # Key access to the state storage is off, so the provider must use a token too.
  storage_use_azuread = true

  features {
    cognitive_account {
      # A soft-deleted account would keep its name and subdomain, and the next account needs the same ones.
      purge_soft_delete_on_destroy = true
    }
  }
}
