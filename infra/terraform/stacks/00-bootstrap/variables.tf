variable "state_principals" {
  description = "Principals that may read and write Terraform state: Entra object ids (user, group or service principal) by label. Empty: the person who runs this stack."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "state_replication_type" {
  description = "Replication of the state storage account."
  type        = string
  default     = "GRS"
  nullable    = false

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "RAGRS", "GZRS", "RAGZRS"], var.state_replication_type)
    error_message = "state_replication_type must be LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  }
}

variable "state_retention_days" {
  description = "Days for which deleted state can be recovered."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.state_retention_days >= 7 && var.state_retention_days <= 365
    error_message = "state_retention_days must be from 7 to 365."
  }
}

variable "state_allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges (up to /30) that may reach the state. Empty: any address, with a valid token and role."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for range in var.state_allowed_ip_ranges : can(regex("^([0-9]{1,3}\\.){3}[0-9]{1,3}(/([0-9]|[12][0-9]|30))?$", range)) && can(cidrhost(strcontains(range, "/") ? range : "${range}/32", 0))])
    error_message = "state_allowed_ip_ranges must be IPv4 addresses or ranges up to /30, for example [\"203.0.113.7\", \"198.51.100.0/24\"]; a single address is written without /32."
  }
}
