# The gateway itself. No value of a secret passes through here: the deploy command has put the values into Key Vault, and
# gives only the current version of each.
resource "azurerm_resource_group" "workload" {
  name     = "rg-${module.naming.stem}-workload"
  location = var.location
  tags     = local.tags
}

locals {
  # Settings that this stack derives. A setting of the user with the same name wins.
  derived_settings = merge(
    {
      AZURE_CLIENT_ID                = var.gateway_identity_client_id
      AZURE_MONITOR_METRICS_ENDPOINT = var.metrics_remote_write_url
      # The renderer cannot count the CPUs itself: its container is smaller than the gateway's.
      GATEWAY_WORKER_PROCESSES = tostring(ceil(var.gateway_cpu))
    },
    var.collector_enabled ? { OTEL_COLLECTOR_ENDPOINT = "http://127.0.0.1:4318" } : {},
    var.redis_enabled ? { REDIS_HOST = local.redis_name, REDIS_PORT = "6379" } : {},
    local.e2e_settings,
  )
  app_settings = merge(local.derived_settings, var.app_settings)

  # In Key Vault a secret has the name of its variable. Those of the end-to-end stage have names of their own, so they never
  # replace real keys.
  secrets = merge(
    { for variable, version in var.secret_versions : variable => { name = lower(replace(variable, "_", "-")), version = version } },
    local.e2e_secrets,
  )
  redis_name = "ca-${module.naming.stem}-redis"

  config_path = "/etc/azure-openai-gateway"

  secret_uri = "${var.key_vault_uri}secrets"
}

module "gateway" {
  source = "../../modules/gateway_app"

  name                  = "ca-${module.naming.stem}"
  resource_group_name   = azurerm_resource_group.workload.name
  environment_id        = var.container_app_environment_id
  identity_id           = var.gateway_identity_id
  identity_client_id    = var.gateway_identity_client_id
  registry_login_server = var.registry_login_server
  key_vault_uri         = var.key_vault_uri

  gateway_image     = var.gateway_image
  renderer_image    = var.renderer_image
  renderer_command  = []
  config_path       = local.config_path
  collector_enabled = var.collector_enabled
  collector_image   = var.collector_image

  app_settings = local.app_settings
  secrets      = local.secrets

  external          = var.ingress_external
  allowed_ip_ranges = var.ingress_allowed_ip_ranges

  gateway_cpu                      = var.gateway_cpu
  collector_cpu                    = var.collector_cpu
  min_replicas                     = var.min_replicas
  max_replicas                     = var.max_replicas
  scale_concurrent_requests        = var.scale_concurrent_requests
  scale_cpu_percent                = var.scale_cpu_percent
  scale_down_after_seconds         = var.scale_down_after_seconds
  termination_grace_period_seconds = var.termination_grace_period_seconds

  sidecars = local.e2e_sidecars
  tags     = local.tags
}

# State that replicas share: limits, cool-downs and affinity. It may be lost, so Redis has no disk. Its password is in Key
# Vault; the key of a managed Redis would be in the Terraform state.
module "redis" {
  count  = var.redis_enabled ? 1 : 0
  source = "../../modules/companion_app"

  name                  = local.redis_name
  resource_group_name   = azurerm_resource_group.workload.name
  environment_id        = var.container_app_environment_id
  identity_id           = var.gateway_identity_id
  registry_login_server = startswith(var.redis_image, "${var.registry_login_server}/") ? var.registry_login_server : null
  image                 = var.redis_image
  port                  = 6379
  tcp                   = true
  cpu                   = 0.25

  # The shell in the container expands the password, so Azure and Terraform never see it in an argument.
  command = ["/bin/sh", "-c"]
  args    = ["umask 077; printf 'requirepass %s\\nsave \"\"\\nappendonly no\\nmaxmemory 200mb\\nmaxmemory-policy allkeys-lru\\n' \"$REDIS_PASSWORD\" > /tmp/redis.conf; exec redis-server /tmp/redis.conf"]

  env     = {}
  secrets = { REDIS_PASSWORD = "${local.secret_uri}/redis-password/${lookup(var.secret_versions, "REDIS_PASSWORD", "missing")}" }

  external          = false
  allowed_ip_ranges = {}

  tags = local.tags
}

module "alerts" {
  source = "../../modules/app_alerts"

  stem                = module.naming.stem
  resource_group_name = azurerm_resource_group.workload.name
  app_id              = module.gateway.id
  action_group_id     = var.action_group_id
  enabled             = var.alerts_enabled
  min_replicas        = var.min_replicas
  max_replicas        = var.max_replicas
  tags                = local.tags
}
