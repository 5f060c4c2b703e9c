variable "name" {
  description = "Name of the connection, usually the name of the target."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the endpoint."
  type        = string
}

variable "location" {
  description = "Region of the endpoint: the region of its subnet."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of the endpoint."
  type        = string
}

variable "target_resource_id" {
  description = "Resource id of the target."
  type        = string
}

variable "subresource" {
  description = "Subresource of the target: vault, registry or account."
  type        = string
}

variable "private_dns_zone_id" {
  description = "Private DNS zone that gets the record; null when something else makes the record."
  type        = string
}

variable "tags" {
  description = "Tags of the endpoint."
  type        = map(string)
}
