provider "azurerm" {
  subscription_id = var.subscription_id

  # Only what this stack needs is registered. `none` is already the default of azurerm 5; 4.x would register sixty.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.Storage"]

  # Keys are switched off on the state storage, so the provider has to come with a token as well.
  storage_use_azuread = true

  features {
    storage {
      # Blob settings are managed through Resource Manager alone, so creating the account needs no data-plane access.
      data_plane_available = false
    }
  }
}
