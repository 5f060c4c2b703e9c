variable "name" {
  description = "Domain of the zone."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the zone."
  type        = string
}

variable "virtual_network_id" {
  description = "Network whose machines find the names of the zone."
  type        = string
}

variable "records" {
  description = "Addresses by name (\"*\" for all) that the zone has from the start; private endpoints add theirs themselves."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the zone."
  type        = map(string)
}
