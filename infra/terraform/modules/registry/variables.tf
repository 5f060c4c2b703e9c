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
  description = "Basic, Standard or Premium."
  type        = string
}

variable "private" {
  description = "Whether the registry is reachable through a private endpoint only."
  type        = bool
}

variable "log_analytics_workspace_id" {
  description = "Where the registry's log goes."
  type        = string
}

variable "tags" {
  description = "Tags of the registry."
  type        = map(string)
}
