provider "azurerm" {
  subscription_id = var.subscription_id

  # Only what this stack needs is registered. `none` is already the default of azurerm 5; 4.x would register sixty.
  # Container Apps asks for ContainerService too when an environment gets a network of one's own.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.App", "Microsoft.ContainerRegistry", "Microsoft.ContainerService", "Microsoft.KeyVault", "Microsoft.ManagedIdentity", "Microsoft.Network"]

  # Keys are switched off on the state storage, so the provider has to come with a token as well.
  storage_use_azuread = true

  features {
    key_vault {
      # A vault that was destroyed comes back with its secrets: its name is the same and purging is not possible.
      purge_soft_delete_on_destroy    = false
      recover_soft_deleted_key_vaults = true
    }
  }
}
