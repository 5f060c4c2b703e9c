mock_provider "azurerm" {}

variables {
  name                  = "ca-aigw-dev-sim-eastus"
  resource_group_name   = "rg"
  environment_id        = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae"
  identity_id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
  registry_login_server = "cr.azurecr.io"
  image                 = "cr.azurecr.io/simulator:abc"
  command               = []
  args                  = []
  env                   = {}
  secret                = { variable = "AZURE_OPENAI_SIMULATOR_KEY", id = "https://kv.vault.azure.net/secrets/simulator-key-eastus/v1" }
  port                  = 8080
  tcp                   = false
  cpu                   = 0.25
  tags                  = {}
}

run "it_is_never_reachable_from_outside" {
  command = plan

  assert {
    condition     = !azurerm_container_app.this.ingress[0].external_enabled
    error_message = "Internal only."
  }
}

run "it_has_a_key_by_reference" {
  command = plan

  assert {
    condition     = one(azurerm_container_app.this.secret[*].key_vault_secret_id) == var.secret.id && azurerm_container_app.this.template[0].container[0].env[0].secret_name == "azure-openai-simulator-key"
    error_message = "The container must get its key from Key Vault."
  }
}

run "it_has_all_three_probes" {
  command = plan

  assert {
    condition     = length(azurerm_container_app.this.template[0].container[0].startup_probe) == 1 && length(azurerm_container_app.this.template[0].container[0].readiness_probe) == 1 && length(azurerm_container_app.this.template[0].container[0].liveness_probe) == 1
    error_message = "Azure's own defaults are not enough."
  }
}

run "a_new_key_rolls_the_revision" {
  command = plan

  assert {
    condition     = contains([for env in azurerm_container_app.this.template[0].container[0].env : env.value], "v1")
    error_message = "The secret's version must be in the template."
  }
}
