variable "name" {
  description = "Name of the registry."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the registry."
  type        = string
}

variable "location" {
  description = "Region of the registry."
  type        = string
}

variable "sku" {
  description = "Tier of the registry: Basic, Standard or Premium."
  type        = string
}

variable "private" {
  description = "Whether a private endpoint is the only way to the registry."
  type        = bool
}

variable "log_analytics_workspace_id" {
  description = "Log Analytics workspace that gets the registry's log."
  type        = string
}

variable "tags" {
  description = "Tags of the registry."
  type        = map(string)
}
