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
    condition     = output.simulator_hosts == {}
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

run "e2e_gives_each_region_a_simulator" {
  variables {
    deploy_e2e             = true
    simulator_image        = "cr.azurecr.io/simulator:abc"
    simulator_key_versions = { eastus = "v1", westus = "v1" }
  }

  assert {
    condition     = keys(output.simulator_hosts) == ["eastus", "westus"]
    error_message = "One app for each region."
  }
}

run "a_simulator_without_a_key_is_refused" {
  command = plan

  variables {
    deploy_e2e             = true
    simulator_image        = "cr.azurecr.io/simulator:abc"
    simulator_key_versions = { eastus = "v1" }
  }

  expect_failures = [var.simulator_key_versions]
}

run "e2e_with_an_open_gateway_is_refused" {
  command = plan

  variables {
    deploy_e2e             = true
    simulator_image        = "cr.azurecr.io/simulator:abc"
    simulator_key_versions = { eastus = "v1", westus = "v1" }
    app_settings           = { GATEWAY_REQUIRE_AUTH = "off" }
  }

  expect_failures = [var.deploy_e2e]
}

run "e2e_with_a_real_backend_is_refused" {
  command = plan

  variables {
    deploy_e2e             = true
    simulator_image        = "cr.azurecr.io/simulator:abc"
    simulator_key_versions = { eastus = "v1", westus = "v1" }
    app_settings           = { AZURE_OPENAI_ENDPOINT_2 = "https://my-resource.openai.azure.com" }
  }

  expect_failures = [var.deploy_e2e]
}

run "the_backends_of_e2e_are_the_simulators_with_their_own_keys" {
  command = plan

  variables {
    deploy_e2e             = true
    simulator_image        = "cr.azurecr.io/simulator:abc"
    simulator_key_versions = { eastus = "v1", westus = "v2" }
    secret_versions        = { GATEWAY_CLIENT_KEY_0 = "v1", AZURE_OPENAI_KEY_0 = "v9" }
  }

  assert {
    condition     = { for name, secret in local.secrets : name => "${secret.name} ${secret.version}" if startswith(name, "AZURE_OPENAI_KEY_") } == { AZURE_OPENAI_KEY_0 = "simulator-key-eastus v1", AZURE_OPENAI_KEY_1 = "simulator-key-westus v2" }
    error_message = "No simulator may be called with a real key."
  }
  assert {
    condition     = local.app_settings["AZURE_OPENAI_REGION_1"] == "westus" && local.app_settings["GATEWAY_E2E_TEST_MODE"] == "true"
    error_message = "Each simulator is a backend of its region."
  }
}

run "a_region_whose_app_name_would_be_too_long_is_refused" {
  command = plan

  variables {
    e2e_regions = ["eastasia12"]
  }

  expect_failures = [var.e2e_regions]
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
