variable "gateway_identity_principal_id" {
  description = "Object id of the gateway's identity. Comes from the platform stack."
  type        = string
  nullable    = false
}

variable "accounts" {
  description = "Accounts by label: region, kind, priority, weight and model deployments. The label becomes the name of the backend."
  type = map(object({
    location = string
    kind     = optional(string, "AIServices")
    priority = optional(number, 0)
    weight   = optional(number, 1)
    deployments = map(object({
      model          = string
      version        = string
      format         = optional(string, "OpenAI")
      sku            = optional(string, "GlobalStandard")
      capacity       = optional(number, 10)
      content_filter = optional(string, "Microsoft.DefaultV2")
      upgrade        = optional(string, "OnceCurrentVersionExpired")
    }))
  }))
  nullable = false

  validation {
    condition     = length(var.accounts) > 0
    error_message = "accounts must have at least one account. If you need none, do not deploy this stack, and deploy the workload with --no-azure-openai."
  }

  validation {
    condition     = alltrue([for label in keys(var.accounts) : can(regex("^[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?$", label))])
    error_message = "Each account's label must be 1 to 24 characters of a-z, 0-9 and dash, and not start or end with a dash."
  }

  validation {
    condition     = alltrue([for account in values(var.accounts) : contains(["OpenAI", "AIServices"], account.kind)])
    error_message = "Each account's kind must be OpenAI or AIServices."
  }

  validation {
    condition     = alltrue([for account in values(var.accounts) : length(account.deployments) > 0])
    error_message = "Each account needs at least one deployment."
  }

  validation {
    condition = alltrue(flatten([
      for account in values(var.accounts) : [
        for deployment in values(account.deployments) : deployment.capacity >= 1 && floor(deployment.capacity) == deployment.capacity
      ]
    ]))
    error_message = "Each deployment's capacity must be a whole number from 1: thousands of tokens a minute, or provisioned units."
  }
}

variable "files_and_batches_enabled" {
  description = "Whether the gateway may also upload files and create batches. This makes a custom role, for which the login needs the role Owner or User Access Administrator."
  type        = bool
  default     = false
  nullable    = false
}

variable "private_endpoints_enabled" {
  description = "Whether the accounts are reachable only from the virtual network of the platform stack."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.private_endpoints_enabled || var.endpoints_subnet_id != null
    error_message = "private_endpoints_enabled needs a virtual network: set network_address_space in the platform stack and deploy it first."
  }
}

variable "endpoints_subnet_id" {
  description = "Subnet for private endpoints. Comes from the platform stack."
  type        = string
  default     = null
}

variable "virtual_network_id" {
  description = "Network that can look up the endpoints' names. Comes from the platform stack."
  type        = string
  default     = null
}

variable "private_dns_zones_enabled" {
  description = "Whether this stack makes the private DNS zone of the endpoints. False where a hub or a policy makes the records."
  type        = bool
  default     = true
  nullable    = false
}

variable "private_dns_zone_id" {
  description = "Existing private DNS zone (privatelink.openai.azure.com) for the endpoints' records, instead of a new one. It must already be linked to the network."
  type        = string
  default     = null
}
