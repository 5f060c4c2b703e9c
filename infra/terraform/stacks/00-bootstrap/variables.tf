variable "state_principals" {
  description = "Who may read and write Terraform state: a label and an Entra object id (user, group or service principal) for each. Empty: whoever runs this stack."
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
  description = "Days for which deleted state can be brought back."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.state_retention_days >= 7 && var.state_retention_days <= 365
    error_message = "state_retention_days must be from 7 to 365."
  }
}

variable "state_allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges that may reach the state. Empty: any address, with a valid token and role."
  type        = list(string)
  default     = []
  nullable    = false
}
