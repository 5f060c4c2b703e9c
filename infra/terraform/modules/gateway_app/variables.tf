variable "name" {
  description = "Name of the Container App."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the app."
  type        = string
}

variable "environment_id" {
  description = "Container Apps environment."
  type        = string
}

variable "identity_id" {
  description = "Identity that pulls images and reads secrets."
  type        = string
}

variable "identity_client_id" {
  description = "Client id of that identity, with which the containers ask for tokens."
  type        = string
}

variable "registry_login_server" {
  description = "Registry of the gateway's images."
  type        = string
}

variable "gateway_image" {
  description = "Image of the gateway."
  type        = string
}

variable "renderer_image" {
  description = "Image of the config renderer."
  type        = string
}

variable "renderer_command" {
  description = "Command of the config renderer; empty for the image's own."
  type        = list(string)
}

variable "collector_image" {
  description = "Image of the OpenTelemetry collector."
  type        = string
}

variable "collector_enabled" {
  description = "Whether the collector runs beside the gateway."
  type        = bool
}

variable "config_path" {
  description = "Directory of the rendered files in each container."
  type        = string
}

variable "key_vault_uri" {
  description = "Address of the vault of the secrets, with a trailing slash."
  type        = string
}

variable "app_settings" {
  description = "Settings of the gateway, without secrets."
  type        = map(string)
}

variable "secrets" {
  description = "Secret settings by variable name: each with its name and version in Key Vault."
  type = map(object({
    name    = string
    version = string
  }))
}

variable "external" {
  description = "Whether the gateway is reachable from outside the environment."
  type        = bool
}

variable "allowed_ip_ranges" {
  description = "CIDR ranges that may call the gateway, by name; empty for all addresses."
  type        = map(string)
}

variable "gateway_cpu" {
  description = "vCPU of the gateway container; memory is 2 GiB for each vCPU."
  type        = number
}

variable "collector_cpu" {
  description = "vCPU of the collector container; memory is 2 GiB for each vCPU."
  type        = number
}

variable "min_replicas" {
  description = "Replicas that always run."
  type        = number
}

variable "max_replicas" {
  description = "Highest number of replicas."
  type        = number
}

variable "scale_concurrent_requests" {
  description = "Requests that begin in a second, the mean of 15 seconds, for each replica; more add replicas."
  type        = number
}

variable "scale_cpu_percent" {
  description = "CPU use in percent above which replicas are added; null for no such rule."
  type        = number
}

variable "scale_down_after_seconds" {
  description = "Seconds without a request before the last replica of a scale-to-zero app stops."
  type        = number
}

variable "termination_grace_period_seconds" {
  description = "Seconds for which a stopping replica may finish the requests in flight."
  type        = number
}

variable "sidecars" {
  description = "Further containers of each replica. secret_env names secret settings that the container gets as variables."
  type = list(object({
    name       = string
    image      = string
    command    = list(string)
    cpu        = number
    port       = number
    probe_path = string
    env        = map(string)
    secret_env = set(string)
  }))
}

variable "tags" {
  description = "Tags of the app."
  type        = map(string)
}
