mock_provider "azurerm" {}

variables {
  name                             = "ca-aigw-dev"
  resource_group_name              = "rg"
  environment_id                   = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.App/managedEnvironments/cae"
  identity_id                      = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id"
  identity_client_id               = "00000000-0000-0000-0000-00000000000f"
  registry_login_server            = "cr.azurecr.io"
  gateway_image                    = "cr.azurecr.io/gateway:abc"
  renderer_image                   = "cr.azurecr.io/config-renderer:abc"
  renderer_command                 = []
  collector_image                  = "docker.io/otel/opentelemetry-collector-contrib:0.159.0"
  collector_enabled                = true
  config_path                      = "/etc/azure-openai-gateway"
  key_vault_uri                    = "https://kv.vault.azure.net/"
  app_settings                     = { GATEWAY_CLIENT_NAME_0 = "team-a" }
  secrets                          = { GATEWAY_CLIENT_KEY_0 = { name = "gateway-client-key-0", version = "v1" }, APPLICATIONINSIGHTS_CONNECTION_STRING = { name = "applicationinsights-connection-string", version = "v1" } }
  external                         = true
  allowed_ip_ranges                = {}
  gateway_cpu                      = 0.5
  collector_cpu                    = 0.25
  min_replicas                     = 1
  max_replicas                     = 5
  scale_concurrent_requests        = 100
  scale_cpu_percent                = null
  scale_down_after_seconds         = 300
  termination_grace_period_seconds = 600
  sidecars                         = []
  tags                             = {}
}

run "secrets_come_by_reference_only" {
  command = plan

  assert {
    condition     = alltrue([for secret in azurerm_container_app.gateway.secret : secret.value == null || secret.value == ""])
    error_message = "No value of a secret may pass through Terraform."
  }
  assert {
    condition     = toset([for secret in azurerm_container_app.gateway.secret : secret.key_vault_secret_id]) == toset(["https://kv.vault.azure.net/secrets/gateway-client-key-0/v1", "https://kv.vault.azure.net/secrets/applicationinsights-connection-string/v1"])
    error_message = "Each secret must point at its version in Key Vault."
  }
  assert {
    condition     = alltrue([for secret in azurerm_container_app.gateway.secret : secret.identity == var.identity_id])
    error_message = "They must be read with the gateway's identity."
  }
}

run "only_the_renderer_sees_the_keys" {
  command = plan

  assert {
    condition     = contains([for env in azurerm_container_app.gateway.template[0].init_container[0].env : env.name], "GATEWAY_CLIENT_KEY_0")
    error_message = "The renderer needs the keys."
  }
  assert {
    condition     = [for env in azurerm_container_app.gateway.template[0].container[0].env : env.name] == ["AZURE_CLIENT_ID"]
    error_message = "The gateway itself needs none."
  }
}

run "every_container_that_stays_has_all_three_probes" {
  command = plan

  assert {
    condition     = alltrue([for container in azurerm_container_app.gateway.template[0].container : length(container.startup_probe) == 1 && length(container.readiness_probe) == 1 && length(container.liveness_probe) == 1])
    error_message = "Azure's own defaults would probe the traffic port."
  }
}

run "no_probe_is_more_patient_than_every_supported_provider_allows" {
  command = plan

  variables {
    sidecars = [{
      name       = "config-api"
      image      = "cr.azurecr.io/config-api:abc"
      command    = []
      cpu        = 0.25
      port       = 8081
      probe_path = "/healthz"
      env        = {}
      secret_env = []
    }]
  }

  assert {
    condition = alltrue(flatten([
      for container in azurerm_container_app.gateway.template[0].container : [
        for probe in concat(container.startup_probe, container.readiness_probe, container.liveness_probe) : coalesce(probe.failure_count_threshold, 3) <= 10
      ]
    ]))
    error_message = "azurerm before 4.66 takes 10 at most."
  }
}

run "a_stopping_replica_may_finish_its_streams" {
  command = plan

  assert {
    condition     = azurerm_container_app.gateway.template[0].termination_grace_period_seconds == 600
    error_message = "The grace period must be the chosen one."
  }
}

run "the_gateway_is_probed_on_its_status_port" {
  command = plan

  assert {
    condition     = azurerm_container_app.gateway.template[0].container[0].liveness_probe[0].port == 7085 && azurerm_container_app.gateway.template[0].container[0].liveness_probe[0].path == "/status"
    error_message = "Liveness is /status on 7085."
  }
  assert {
    condition     = azurerm_container_app.gateway.template[0].container[0].readiness_probe[0].port == 7085 && azurerm_container_app.gateway.template[0].container[0].readiness_probe[0].path == "/status/ready"
    error_message = "Readiness is /status/ready on 7085."
  }
}

run "the_pod_runs_in_the_profile_that_gives_init_containers_tokens" {
  command = plan

  assert {
    condition     = azurerm_container_app.gateway.workload_profile_name == "Consumption"
    error_message = "The Consumption profile is needed."
  }
}

run "the_same_settings_give_the_same_revision" {
  command = plan

  assert {
    condition     = output.settings_digest == substr(sha256(jsonencode({ settings = var.app_settings, secrets = var.secrets })), 0, 16)
    error_message = "The digest must be one of settings and secret versions, and of nothing else."
  }
  assert {
    condition     = contains([for env in azurerm_container_app.gateway.template[0].init_container[0].env : env.value], output.settings_digest)
    error_message = "The digest must be in the template, or Azure makes no revision."
  }
}

run "a_changed_setting_rolls_the_revision" {
  command = plan

  variables {
    app_settings = { GATEWAY_CLIENT_NAME_0 = "team-b" }
  }

  assert {
    condition     = output.settings_digest == substr(sha256(jsonencode({ settings = var.app_settings, secrets = var.secrets })), 0, 16)
    error_message = "The digest must be one of settings and secret versions, and of nothing else."
  }
  assert {
    condition     = contains([for env in azurerm_container_app.gateway.template[0].init_container[0].env : env.value], output.settings_digest)
    error_message = "The digest must be in the template, or Azure makes no revision."
  }
}

run "a_changed_secret_rolls_the_revision" {
  command = plan

  variables {
    secrets = { GATEWAY_CLIENT_KEY_0 = { name = "gateway-client-key-0", version = "v2" } }
  }

  assert {
    condition     = output.settings_digest == substr(sha256(jsonencode({ settings = var.app_settings, secrets = var.secrets })), 0, 16)
    error_message = "The digest must be one of settings and secret versions, and of nothing else."
  }
  assert {
    condition     = contains([for env in azurerm_container_app.gateway.template[0].init_container[0].env : env.value], output.settings_digest)
    error_message = "The digest must be in the template, or Azure makes no revision."
  }
}

run "a_removed_secret_rolls_the_revision" {
  command = plan

  variables {
    secrets = {}
  }

  assert {
    condition     = output.settings_digest == substr(sha256(jsonencode({ settings = var.app_settings, secrets = var.secrets })), 0, 16)
    error_message = "The digest must be one of settings and secret versions, and of nothing else."
  }
  assert {
    condition     = contains([for env in azurerm_container_app.gateway.template[0].init_container[0].env : env.value], output.settings_digest)
    error_message = "The digest must be in the template, or Azure makes no revision."
  }
}

run "scale_to_zero_is_allowed" {
  command = plan

  variables {
    min_replicas = 0
  }

  assert {
    condition     = azurerm_container_app.gateway.template[0].min_replicas == 0
    error_message = "No replica at all must be possible."
  }
  assert {
    condition     = length(azurerm_container_app.gateway.template[0].custom_scale_rule) == 0 && length(azurerm_container_app.gateway.template[0].http_scale_rule) == 1
    error_message = "Only an HTTP rule can wake a stopped app."
  }
}

run "a_cpu_rule_is_added_on_request" {
  command = plan

  variables {
    scale_cpu_percent = 70
  }

  assert {
    condition     = azurerm_container_app.gateway.template[0].custom_scale_rule[0].custom_rule_type == "cpu" && azurerm_container_app.gateway.template[0].custom_scale_rule[0].metadata.value == "70"
    error_message = "The CPU rule must be there."
  }
}

run "cpu_and_memory_are_a_row_that_azure_has" {
  command = plan

  assert {
    condition     = [for container in azurerm_container_app.gateway.template[0].container : container.memory] == ["1Gi", "0.5Gi"]
    error_message = "2 GiB belong to each vCPU."
  }
}

run "more_than_four_vcpu_are_refused" {
  command = plan

  variables {
    gateway_cpu = 4
  }

  expect_failures = [azurerm_container_app.gateway]
}

run "an_internal_gateway_is_internal" {
  command = plan

  variables {
    external = false
  }

  assert {
    condition     = !azurerm_container_app.gateway.ingress[0].external_enabled
    error_message = "It must not be reachable from outside."
  }
}

run "plain_http_is_never_accepted" {
  command = plan

  assert {
    condition     = !azurerm_container_app.gateway.ingress[0].allow_insecure_connections
    error_message = "Keys must not travel in the clear."
  }
}

run "without_a_collector_the_gateway_is_alone" {
  command = plan

  variables {
    collector_enabled = false
  }

  assert {
    condition     = [for container in azurerm_container_app.gateway.template[0].container : container.name] == ["gateway"]
    error_message = "The collector must be gone."
  }
}

run "a_sidecar_gets_its_probes_and_its_secret_by_reference" {
  command = plan

  variables {
    sidecars = [{
      name       = "config-api"
      image      = "cr.azurecr.io/config-api:abc"
      command    = []
      cpu        = 0.25
      port       = 8081
      probe_path = "/healthz"
      env        = {}
      secret_env = ["GATEWAY_CLIENT_KEY_0"]
    }]
  }

  assert {
    condition     = azurerm_container_app.gateway.template[0].container[2].env[0].secret_name == "gateway-client-key-0"
    error_message = "The sidecar's token must come by reference."
  }
}
