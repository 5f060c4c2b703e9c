# The config API renders the gateway's files again while the gateway runs, so it gets what the renderer gets. A platform's
# probe does not come over loopback, so it listens on all addresses of the replica. Its posts need its token.
locals {
  e2e_sidecars = var.deploy_e2e ? [{
    name       = "config-api"
    image      = var.simulator_image
    command    = ["python", "-m", "e2e.config_api", "--host", "0.0.0.0", "--output-dir", local.config_path]
    cpu        = 0.25
    port       = tonumber(lookup(local.app_settings, "CONFIG_API_PORT", "9000"))
    probe_path = "/health"
    env        = local.app_settings
    secret_env = keys(local.secrets)
  }] : []
}

# Simulated Azure OpenAI, one app for each backend, so that a backend can fail alone. Who can reach the gateway can reach the
# simulators: tests script their faults, and clients measure them. They answer only calls with a key.
module "simulator" {
  for_each = local.simulator_names
  source   = "../../modules/companion_app"

  name                  = each.value
  resource_group_name   = azurerm_resource_group.workload.name
  environment_id        = var.container_app_environment_id
  identity_id           = var.gateway_identity_id
  registry_login_server = var.registry_login_server
  image                 = var.simulator_image
  command               = []
  args = concat(
    ["serve", "--host", "0.0.0.0", "--region", "${each.key}:8080"],
    flatten([for deployment in local.e2e_deployments : ["--deployment", deployment]]),
  )
  port = 8080
  tcp  = false
  cpu  = 0.5

  env = {}
  secrets = {
    AZURE_OPENAI_SIMULATOR_KEY       = "${local.secret_uri}/e2e-simulator-key/${var.e2e_secret_versions["e2e-simulator-key"]}"
    AZURE_OPENAI_SIMULATOR_ADMIN_KEY = "${local.secret_uri}/e2e-simulator-admin-key/${var.e2e_secret_versions["e2e-simulator-admin-key"]}"
  }

  external          = var.ingress_external
  allowed_ip_ranges = var.ingress_allowed_ip_ranges

  tags = local.tags
}
