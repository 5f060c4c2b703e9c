variable "name" {
  description = "Name of the connection, usually that of the target."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the endpoint."
  type        = string
}

variable "location" {
  description = "Region of the endpoint, which is that of its subnet."
  type        = string
}

variable "subnet_id" {
  description = "Subnet of the endpoint."
  type        = string
}

variable "target_resource_id" {
  description = "Resource that the endpoint reaches."
  type        = string
}

variable "subresource" {
  description = "Part of the target: vault, registry or account."
  type        = string
}

variable "private_dns_zone_id" {
  description = "Private DNS zone that gets the record; null when records are made elsewhere."
  type        = string
}

variable "tags" {
  description = "Tags of the endpoint."
  type        = map(string)
}
