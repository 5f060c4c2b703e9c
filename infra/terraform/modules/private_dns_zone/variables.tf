variable "name" {
  description = "Domain of the zone."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the zone."
  type        = string
}

variable "virtual_network_id" {
  description = "Resource id of the network that can look up the names of the zone."
  type        = string
}

variable "records" {
  description = "Records of the zone: addresses by name (\"*\" for all names). Private endpoints add their own records."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Tags of the zone."
  type        = map(string)
}
