# --- from earlier stacks; the deploy command fills them in

variable "container_app_environment_id" {
  description = "Environment that the apps run in. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "environment_default_domain" {
  description = "Domain of the environment, of which the addresses of its apps are part. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "registry_login_server" {
  description = "Registry of the images. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "key_vault_uri" {
  description = "Address of the vault of the secrets, with a trailing slash. Comes from the platform stack."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://[^/]+/$", var.key_vault_uri))
    error_message = "key_vault_uri must be the vault's https address with a trailing slash."
  }
}

variable "gateway_identity_id" {
  description = "Identity of the apps. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "gateway_identity_client_id" {
  description = "Client id of that identity. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "metrics_remote_write_url" {
  description = "Prometheus remote write address. Comes from the observability stack."
  type        = string
  nullable    = false
}

variable "action_group_id" {
  description = "Action group that alerts notify. Comes from the observability stack."
  type        = string
  nullable    = false
}

# --- from the deploy command itself

variable "gateway_image" {
  description = "Image of the gateway, tagged with the digest of its sources."
  type        = string
  nullable    = false
}

variable "renderer_image" {
  description = "Image of the config renderer, tagged with the digest of its sources."
  type        = string
  nullable    = false
}

variable "simulator_image" {
  description = "Image of the simulator; needed with deploy_e2e."
  type        = string
  default     = null

  validation {
    condition     = !var.deploy_e2e || var.simulator_image != null
    error_message = "deploy_e2e needs simulator_image."
  }
}

variable "secret_versions" {
  description = "Version in Key Vault of each secret setting, by variable name. A version is not secret; values never come here."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for variable, version in var.secret_versions : can(regex("^[A-Z][A-Z0-9_]{0,126}$", variable)) && can(regex("^[0-9a-z-]+$", version))])
    error_message = "secret_versions must map names such as AZURE_OPENAI_KEY_0 to versions in Key Vault."
  }
}

variable "e2e_secret_versions" {
  description = "Version in Key Vault of each secret of the end-to-end stage, by its name there; needed with deploy_e2e."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = !var.deploy_e2e || length(setsubtract([
      "e2e-client-one-key", "e2e-client-two-key", "e2e-client-three-key",
      "e2e-config-api-token", "e2e-simulator-key", "e2e-simulator-admin-key",
    ], keys(var.e2e_secret_versions))) == 0
    error_message = "deploy_e2e needs the version of every key in e2e_secret_versions: a simulator without a key would answer every call."
  }
}

variable "deploy_e2e" {
  description = "Whether the end-to-end stage is deployed: simulators as the only backends, and the gateway in test mode."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.deploy_e2e || !contains(["false", "0", "no", "off"], lower(lookup(var.app_settings, "GATEWAY_REQUIRE_AUTH", "true")))
    error_message = "deploy_e2e needs client authentication: remove GATEWAY_REQUIRE_AUTH from app_settings."
  }

  validation {
    condition     = !var.deploy_e2e || !anytrue([for name in keys(var.app_settings) : startswith(name, "AZURE_OPENAI_ENDPOINT_")])
    error_message = "deploy_e2e uses simulators only, so that no test reaches a backend that costs money: remove AZURE_OPENAI_ENDPOINT_<N> from app_settings."
  }

  validation {
    condition     = !var.deploy_e2e || !anytrue([for name in keys(var.app_settings) : startswith(name, "GATEWAY_CLIENT_NAME_")])
    error_message = "deploy_e2e has clients of its own, with fixed names: remove GATEWAY_CLIENT_NAME_<N> from app_settings."
  }

  validation {
    condition     = !var.deploy_e2e || var.max_replicas == 1 || var.redis_enabled || contains(keys(var.app_settings), "REDIS_HOST")
    error_message = "deploy_e2e with more than one replica needs Redis, which keeps limits, ownership and preferred backends for all of them: set redis_enabled = true with REDIS_PASSWORD in secrets, or max_replicas = 1."
  }
}

# --- from the user

variable "app_settings" {
  description = "Settings of the gateway, without secrets. The configuration reference lists them all."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.app_settings) : !can(regex("(_KEY|_KEY_SECONDARY)_[0-9]+$|PASSWORD|CONNECTION_STRING", name))])
    error_message = "Keys, passwords and connection strings belong in `secrets`, not in `app_settings`: Terraform would keep them in its state."
  }
}

variable "collector_enabled" {
  description = "Whether an OpenTelemetry collector runs beside the gateway and ships records, traces and metrics."
  type        = bool
  default     = true
  nullable    = false
}

variable "collector_image" {
  description = "Image of the OpenTelemetry collector (contrib distribution). The command imports the default one into the registry and passes it by digest."
  type        = string
  default     = "docker.io/otel/opentelemetry-collector-contrib:0.159.0"
  nullable    = false
}

variable "ingress_external" {
  description = "Whether the gateway is reachable from outside the environment."
  type        = bool
  default     = true
  nullable    = false
}

variable "ingress_allowed_ip_ranges" {
  description = "CIDR ranges that may call the gateway, by name; empty for all addresses. Every call needs a client key as well."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for range in values(var.ingress_allowed_ip_ranges) : can(cidrhost(range, 0))])
    error_message = "ingress_allowed_ip_ranges must map names to CIDR ranges, for example { office = \"203.0.113.0/24\" }."
  }
}

variable "gateway_cpu" {
  description = "vCPU of the gateway container, in steps of 0.25; memory is 2 GiB for each vCPU."
  type        = number
  default     = 0.5
  nullable    = false

  validation {
    condition     = var.gateway_cpu >= 0.25 && var.gateway_cpu * 4 == floor(var.gateway_cpu * 4)
    error_message = "gateway_cpu must be a multiple of 0.25."
  }
}

variable "collector_cpu" {
  description = "vCPU of the collector container, in steps of 0.25; memory is 2 GiB for each vCPU."
  type        = number
  default     = 0.25
  nullable    = false

  validation {
    condition     = var.collector_cpu >= 0.25 && var.collector_cpu * 4 == floor(var.collector_cpu * 4)
    error_message = "collector_cpu must be a multiple of 0.25."
  }
}

variable "min_replicas" {
  description = "Replicas that always run. 0 scales to zero, which is cheap, but the first request after a pause waits for a start."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_replicas >= 0 && var.min_replicas <= 300 && floor(var.min_replicas) == var.min_replicas
    error_message = "min_replicas must be a whole number from 0 to 300."
  }
}

variable "max_replicas" {
  description = "Highest number of replicas."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.max_replicas >= max(var.min_replicas, 1) && var.max_replicas <= 300 && floor(var.max_replicas) == var.max_replicas
    error_message = "max_replicas must be a whole number from 1 to 300 and not less than min_replicas."
  }
}

variable "scale_concurrent_requests" {
  description = "Requests that begin in a second, the mean of 15 seconds, for each replica; more add replicas. A stream counts once, when it begins, however long it is."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.scale_concurrent_requests >= 1
    error_message = "scale_concurrent_requests must be at least 1."
  }
}

variable "scale_cpu_percent" {
  description = "CPU use in percent above which replicas are added; null for no such rule. A CPU rule cannot wake a stopped app, so it needs min_replicas of at least 1."
  type        = number
  default     = null

  validation {
    condition     = var.scale_cpu_percent == null ? true : var.scale_cpu_percent >= 10 && var.scale_cpu_percent <= 100 && var.min_replicas >= 1
    error_message = "scale_cpu_percent must be from 10 to 100, and a CPU rule prevents scaling to zero: set min_replicas = 1 or leave scale_cpu_percent out."
  }
}

variable "scale_down_after_seconds" {
  description = "Seconds without a request before the last replica stops (only with min_replicas = 0)."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.scale_down_after_seconds >= 30
    error_message = "scale_down_after_seconds must be at least 30."
  }
}

variable "termination_grace_period_seconds" {
  description = "Seconds for which a stopping replica may finish the requests in flight, streams included."
  type        = number
  default     = 600
  nullable    = false

  validation {
    condition     = var.termination_grace_period_seconds >= 10 && var.termination_grace_period_seconds <= 600
    error_message = "termination_grace_period_seconds must be from 10 to 600: Azure allows no more."
  }
}

variable "redis_enabled" {
  description = "Whether a Redis runs in the environment for limits, cool-downs and affinity across replicas. Needs REDIS_PASSWORD in secrets. To use a Redis of your own, leave this off and set REDIS_HOST in app_settings."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.redis_enabled || contains(keys(var.secret_versions), "REDIS_PASSWORD")
    error_message = "redis_enabled needs REDIS_PASSWORD in secrets: Redis does not run without a password."
  }

  validation {
    condition     = !var.redis_enabled || !contains(keys(var.app_settings), "REDIS_HOST")
    error_message = "redis_enabled makes its own Redis: remove REDIS_HOST from app_settings, or set redis_enabled = false."
  }
}

variable "redis_image" {
  description = "Image of Redis. The command imports the default one into the registry and passes it by digest."
  type        = string
  default     = "docker.io/library/redis:7.4-alpine"
  nullable    = false
}

variable "alerts_enabled" {
  description = "Whether the alert rules of the app are evaluated."
  type        = bool
  default     = true
  nullable    = false
}
