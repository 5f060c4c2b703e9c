mock_provider "azurerm" {
  mock_resource "azurerm_container_app" {
    defaults = { id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/containerApps/ca" }
  }
  mock_data "azurerm_container_app" {
    # OpenTofu takes a whole element only.
    defaults = {
      ingress = [{
        fqdn                       = "ca-aigw-dev.internal.example.com"
        allow_insecure_connections = false
        client_certificate_mode    = ""
        cors                       = []
        custom_domain              = []
        exposed_port               = 0
        external_enabled           = false
        ip_security_restriction    = []
        target_port                = 9080
        traffic_weight             = []
        transport                  = "auto"
      }]
    }
  }
}

variables {
  subscription_id              = "00000000-0000-0000-0000-00000000000a"
  name                         = "aigw"
  environment                  = "dev"
  location                     = "swedencentral"
  container_app_environment_id = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae"
  environment_default_domain   = "env.example.com"
  registry_login_server        = "cr.azurecr.io"
  key_vault_uri                = "https://kv.vault.azure.net/"
  gateway_identity_id          = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
  gateway_identity_client_id   = "00000000-0000-0000-0000-00000000000f"
  metrics_remote_write_url     = "https://metrics.example.com/write"
  action_group_id              = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.Insights/actionGroups/ag"
  gateway_image                = "cr.azurecr.io/gateway:abc"
  renderer_image               = "cr.azurecr.io/config-renderer:abc"
  secret_versions              = { GATEWAY_CLIENT_KEY_0 = "v1" }
  app_settings                 = { GATEWAY_CLIENT_NAME_0 = "team-a" }
}

run "without_e2e_there_is_no_simulator" {
  assert {
    condition     = output.e2e_stage == null && length(module.simulator) == 0
    error_message = "Simulators belong to end-to-end tests."
  }
}

run "the_address_is_the_one_after_the_change" {
  variables {
    ingress_external = false
  }

  assert {
    condition     = output.gateway_url == "https://ca-aigw-dev.internal.example.com"
    error_message = "Turned inward or outward the app gets another host name, which its resource does not tell yet."
  }
}

run "the_gateway_has_a_worker_for_each_of_its_cpus" {
  command = plan

  variables {
    gateway_cpu = 1.5
  }

  assert {
    condition     = local.app_settings["GATEWAY_WORKER_PROCESSES"] == "2"
    error_message = "Workers follow the gateway's container, not the renderer's."
  }
}

run "e2e_gives_each_backend_a_simulator" {
  variables {
    deploy_e2e          = true
    max_replicas        = 1
    simulator_image     = "cr.azurecr.io/simulator:abc"
    e2e_secret_versions = { e2e-simulator-key = "v1", e2e-simulator-admin-key = "v2", e2e-client-one-key = "v3", e2e-client-two-key = "v4", e2e-client-three-key = "v5", e2e-config-api-token = "v6" }
    app_settings        = {}
  }

  assert {
    condition     = keys(module.simulator) == ["payg-backend-1", "payg-backend-2", "ptu-backend-1"]
    error_message = "One app for each backend."
  }
  assert {
    condition     = output.e2e_stage.simulator_urls["ptu-backend-1"] == "https://ca-aigw-dev-sim-ptu1.env.example.com"
    error_message = "Tests must find the simulators."
  }
  assert {
    condition     = output.e2e_stage.client_key_secrets["client-two"] == "e2e-client-two-key" && output.e2e_stage.app_settings["GATEWAY_E2E_TEST_MODE"] == "true"
    error_message = "Tests must find the clients' keys and the settings."
  }
}

run "the_config_api_has_what_the_renderer_has" {
  command = plan

  variables {
    deploy_e2e          = true
    max_replicas        = 1
    simulator_image     = "cr.azurecr.io/simulator:abc"
    e2e_secret_versions = { e2e-simulator-key = "v1", e2e-simulator-admin-key = "v2", e2e-client-one-key = "v3", e2e-client-two-key = "v4", e2e-client-three-key = "v5", e2e-config-api-token = "v6" }
    app_settings        = { CONFIG_API_PORT = "9009" }
  }

  assert {
    condition     = one(local.e2e_sidecars).env == local.app_settings && toset(one(local.e2e_sidecars).secret_env) == toset(keys(local.secrets))
    error_message = "It would render other files than the renderer."
  }
  assert {
    condition     = one(local.e2e_sidecars).port == 9009 && local.secrets["CONFIG_API_TOKEN"].name == "e2e-config-api-token"
    error_message = "The gateway must reach it, with its token."
  }
}

run "e2e_with_an_open_gateway_is_refused" {
  command = plan

  variables {
    deploy_e2e          = true
    max_replicas        = 1
    simulator_image     = "cr.azurecr.io/simulator:abc"
    e2e_secret_versions = { e2e-simulator-key = "v1", e2e-simulator-admin-key = "v2", e2e-client-one-key = "v3", e2e-client-two-key = "v4", e2e-client-three-key = "v5", e2e-config-api-token = "v6" }
    app_settings        = { GATEWAY_REQUIRE_AUTH = "off" }
  }

  expect_failures = [var.deploy_e2e]
}

run "the_backends_of_e2e_are_the_simulators_with_their_own_keys" {
  command = plan

  variables {
    deploy_e2e          = true
    max_replicas        = 1
    simulator_image     = "cr.azurecr.io/simulator:abc"
    e2e_secret_versions = { e2e-simulator-key = "v1", e2e-simulator-admin-key = "v2", e2e-client-one-key = "v3", e2e-client-two-key = "v4", e2e-client-three-key = "v5", e2e-config-api-token = "v6" }
    secret_versions     = { GATEWAY_CLIENT_KEY_0 = "v8", AZURE_OPENAI_KEY_0 = "v9" }
    app_settings        = {}
  }

  assert {
    condition     = { for name, secret in local.secrets : name => "${secret.name} ${secret.version}" if endswith(name, "_KEY_0") } == { AZURE_OPENAI_KEY_0 = "e2e-simulator-key v1", GATEWAY_CLIENT_KEY_0 = "e2e-client-one-key v3" }
    error_message = "No simulator may be called with a real key."
  }
}

run "more_replicas_than_the_provider_takes_are_refused" {
  command = plan

  variables {
    max_replicas = 301
  }

  expect_failures = [var.max_replicas]
}

run "a_key_among_the_settings_is_refused" {
  command = plan

  variables {
    app_settings = { AZURE_OPENAI_KEY_0 = "oops" }
  }

  expect_failures = [var.app_settings]
}

run "a_cpu_rule_with_scale_to_zero_is_refused" {
  command = plan

  variables {
    min_replicas      = 0
    scale_cpu_percent = 70
  }

  expect_failures = [var.scale_cpu_percent]
}

run "redis_without_a_password_is_refused" {
  command = plan

  variables {
    redis_enabled = true
  }

  expect_failures = [var.redis_enabled]
}

run "redis_runs_beside_the_gateway" {
  command = plan

  variables {
    redis_enabled   = true
    secret_versions = { GATEWAY_CLIENT_KEY_0 = "v1", REDIS_PASSWORD = "v1" }
  }

  assert {
    condition     = length(module.redis) == 1
    error_message = "Redis must be there."
  }
}

run "half_a_quarter_of_a_cpu_is_refused" {
  command = plan

  variables {
    gateway_cpu = 0.3
  }

  expect_failures = [var.gateway_cpu]
}
