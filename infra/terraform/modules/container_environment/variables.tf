variable "stem" {
  description = "Readable part of the resource names."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the environment."
  type        = string
}

variable "location" {
  description = "Region of the environment."
  type        = string
}

variable "log_analytics_workspace_id" {
  description = "Log Analytics workspace that gets the console and system logs."
  type        = string
}

variable "subnet_id" {
  description = "Delegated subnet of the environment; null for a network that Azure manages."
  type        = string
}

variable "internal" {
  description = "Whether the environment's only address is inside the virtual network."
  type        = bool
}

variable "zone_redundant" {
  description = "Whether replicas are spread over availability zones."
  type        = bool
}

variable "tags" {
  description = "Tags of the environment."
  type        = map(string)
}
