provider "azurerm" {
  subscription_id = var.subscription_id

  # Only the resource providers of this stack are registered. `none` is the default of azurerm 5; 4.x would register sixty.
  resource_provider_registrations = "none"
  resource_providers_to_register  = ["Microsoft.App", "Microsoft.Insights"]

  # Key access to the state storage is off, so the provider must use a token too.
  storage_use_azuread = true

  features {
    # Azure can fail while it makes a resource. The state then knows it, and the next run replaces it. Without this the next
    # run would stop at a resource that "already exists".
    persist_id_on_create_before_polling_for_completion = true

    # Some resources get into the state only some time after Azure has made them. This is for those of a run that was stopped.
    skip_import_check_on_create_and_allow_overwriting_existing_resources = var.adopt_existing
  }
}
