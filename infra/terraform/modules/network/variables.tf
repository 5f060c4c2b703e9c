variable "stem" {
  description = "Readable part of the resource names."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the network."
  type        = string
}

variable "location" {
  description = "Region of the network."
  type        = string
}

variable "address_space" {
  description = "CIDR range of the network: a quarter for the apps, a quarter for private endpoints, half left free."
  type        = string
}

variable "tags" {
  description = "Tags of the network."
  type        = map(string)
}
