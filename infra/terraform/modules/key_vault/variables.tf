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
  description = "Days for which a deleted secret or vault can be brought back."
  type        = number
}

variable "private" {
  description = "Whether the vault is reachable through a private endpoint only."
  type        = bool
}

variable "allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges that may reach the vault; empty allows any address with a valid token."
  type        = list(string)
}

variable "secret_officers" {
  description = "Who may write secrets: a label and an Entra object id for each."
  type        = map(string)
}

variable "log_analytics_workspace_id" {
  description = "Where the audit log goes."
  type        = string
}

variable "tags" {
  description = "Tags of the vault."
  type        = map(string)
}
