variable "log_analytics_workspace_id" {
  description = "Log Analytics workspace. Comes from the observability stack."
  type        = string
  nullable    = false
}

variable "metrics_data_collection_rule_id" {
  description = "Data collection rule of the metrics workspace. Comes from the observability stack."
  type        = string
  nullable    = false
}

variable "application_insights_id" {
  description = "Application Insights component of the traces. Comes from the observability stack."
  type        = string
  nullable    = false
}

variable "deployer_principals" {
  description = "Principals that may write secrets and push images: Entra object ids (user, group or service principal) by label. Empty: the person who runs this stack. If several people deploy, list them all: without a list each run removes the roles of the others."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "registry_sku" {
  description = "Container registry tier: Basic, Standard or Premium (needed with private endpoints)."
  type        = string
  default     = "Basic"
  nullable    = false

  validation {
    condition     = contains(["Basic", "Standard", "Premium"], var.registry_sku)
    error_message = "registry_sku must be Basic, Standard or Premium."
  }
}

variable "key_vault_retention_days" {
  description = "Days for which a deleted secret can be recovered. Cannot be changed on an existing vault."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.key_vault_retention_days >= 7 && var.key_vault_retention_days <= 90
    error_message = "key_vault_retention_days must be from 7 to 90."
  }
}

variable "key_vault_allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges that may reach the vault. Empty: any address, with a valid token and role. A list must include the outbound addresses of the environment, or the apps cannot read their secrets."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for range in var.key_vault_allowed_ip_ranges : can(regex("^[0-9.]+(/[0-9]+)?$", range)) && can(cidrhost(strcontains(range, "/") ? range : "${range}/32", 0))])
    error_message = "key_vault_allowed_ip_ranges must be IPv4 addresses or CIDR ranges, for example [\"203.0.113.7\", \"198.51.100.0/24\"]."
  }
}

variable "network_address_space" {
  description = "CIDR range (/16 to /25) of a virtual network for the environment; null for a network that Azure manages. Cannot be changed later without replacing the environment."
  type        = string
  default     = null

  validation {
    condition = var.network_address_space == null ? true : (
      can(cidrhost(var.network_address_space, 0)) &&
      tonumber(try(split("/", var.network_address_space)[1], 0)) >= 16 &&
      tonumber(try(split("/", var.network_address_space)[1], 99)) <= 25
    )
    error_message = "network_address_space must be a CIDR range from /16 to /25, for example 10.20.0.0/22."
  }
}

variable "environment_internal" {
  description = "Whether the gateway is reachable only from the virtual network. Needs network_address_space; cannot be changed later."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.environment_internal || var.network_address_space != null
    error_message = "environment_internal needs network_address_space."
  }
}

variable "zone_redundancy_enabled" {
  description = "Whether replicas are spread over availability zones. Needs network_address_space; cannot be changed later."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.zone_redundancy_enabled || var.network_address_space != null
    error_message = "zone_redundancy_enabled needs network_address_space."
  }
}

variable "private_endpoints_enabled" {
  description = "Whether vault and registry are reachable only from the virtual network. Deployments must then run inside it. Needs network_address_space and registry_sku = \"Premium\"."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.private_endpoints_enabled || var.network_address_space != null
    error_message = "private_endpoints_enabled needs network_address_space."
  }
}

variable "private_dns_zones_enabled" {
  description = "Whether this stack makes the private DNS zones for its endpoints and an internal environment, except those in private_dns_zone_ids. False where a hub or a policy makes the records."
  type        = bool
  default     = true
  nullable    = false
}

variable "private_dns_zone_ids" {
  description = "Existing private DNS zones (privatelink.vaultcore.azure.net, privatelink.azurecr.io) for the endpoints' records, instead of new ones. They must already be linked to the network."
  type = object({
    key_vault = optional(string)
    registry  = optional(string)
  })
  default  = {}
  nullable = false
}
