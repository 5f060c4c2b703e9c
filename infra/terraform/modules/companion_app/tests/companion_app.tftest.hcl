mock_provider "azurerm" {}

variables {
  name                  = "ca-aigw-dev-sim-ptu1"
  resource_group_name   = "rg"
  environment_id        = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae"
  identity_id           = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
  registry_login_server = "cr.azurecr.io"
  image                 = "cr.azurecr.io/simulator:abc"
  command               = []
  args                  = []
  env                   = {}
  secrets               = { AZURE_OPENAI_SIMULATOR_KEY = "https://kv.vault.azure.net/secrets/e2e-simulator-key/v1", AZURE_OPENAI_SIMULATOR_ADMIN_KEY = "https://kv.vault.azure.net/secrets/e2e-simulator-admin-key/v2" }
  external              = false
  allowed_ip_ranges     = {}
  port                  = 8080
  tcp                   = false
  cpu                   = 0.25
  tags                  = {}
}

run "it_is_not_reachable_from_outside" {
  command = plan

  assert {
    condition     = !azurerm_container_app.this.ingress[0].external_enabled
    error_message = "Internal only."
  }
}

run "it_is_reachable_from_outside_on_request_and_over_tls_only" {
  command = plan

  variables {
    external = true
  }

  assert {
    condition     = azurerm_container_app.this.ingress[0].external_enabled && !azurerm_container_app.this.ingress[0].allow_insecure_connections
    error_message = "Keys must not travel in the clear."
  }
  assert {
    condition     = length(azurerm_container_app.this.ingress[0].ip_security_restriction) == 0
    error_message = "Without ranges every address may call."
  }
}

run "chosen_addresses_and_the_environments_own_may_call" {
  command = plan

  variables {
    external          = true
    allowed_ip_ranges = { office = "203.0.113.0/24" }
  }

  assert {
    condition     = toset(azurerm_container_app.this.ingress[0].ip_security_restriction[*].ip_address_range) == toset(["203.0.113.0/24", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"])
    error_message = "The gateway calls from inside, tests from the chosen addresses, and nobody else."
  }
}

run "plain_tcp_never_leaves_the_environment" {
  command = plan

  variables {
    external = true
    tcp      = true
  }

  expect_failures = [var.external]
}

run "without_a_key_it_is_refused" {
  command = plan

  variables {
    secrets = {}
  }

  expect_failures = [var.secrets]
}

run "it_has_its_keys_by_reference" {
  command = plan

  assert {
    condition     = toset(azurerm_container_app.this.secret[*].key_vault_secret_id) == toset(values(var.secrets))
    error_message = "The keys must come from Key Vault."
  }
  assert {
    condition     = { for env in azurerm_container_app.this.template[0].container[0].env : env.name => env.secret_name if env.name != "SECRET_VERSIONS" } == { AZURE_OPENAI_SIMULATOR_KEY = "azure-openai-simulator-key", AZURE_OPENAI_SIMULATOR_ADMIN_KEY = "azure-openai-simulator-admin-key" }
    error_message = "The container must get its keys as variables."
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
    condition     = contains([for env in azurerm_container_app.this.template[0].container[0].env : env.value], "v2,v1")
    error_message = "The versions of the secrets must be in the template."
  }
}
