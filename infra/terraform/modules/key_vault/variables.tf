variable "name" {
  description = "Name of the vault."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the vault."
  type        = string
}

variable "location" {
  description = "Region of the vault."
  type        = string
}

variable "tenant_id" {
  description = "Entra tenant of the vault."
  type        = string
}

variable "soft_delete_retention_days" {
  description = "Days for which a deleted secret or vault can be recovered."
  type        = number
}

variable "private" {
  description = "Whether a private endpoint is the only way to the vault."
  type        = bool
}

variable "allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges that may reach the vault; empty allows any address with a valid token."
  type        = list(string)
}

variable "secret_officers" {
  description = "Principals that may write secrets: Entra object ids by label."
  type        = map(string)
}

variable "log_analytics_workspace_id" {
  description = "Log Analytics workspace that gets the audit log."
  type        = string
}

variable "tags" {
  description = "Tags of the vault."
  type        = map(string)
}
