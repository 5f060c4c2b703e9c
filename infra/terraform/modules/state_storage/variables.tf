variable "name" {
  description = "Name of the storage account."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the storage account."
  type        = string
}

variable "location" {
  description = "Region of the storage account."
  type        = string
}

variable "container_name" {
  description = "Blob container with one state blob for each stack."
  type        = string
}

variable "replication_type" {
  description = "Replication of the storage account: LRS, ZRS, GRS, RAGRS, GZRS or RAGZRS."
  type        = string
}

variable "retention_days" {
  description = "Days for which a deleted blob or container can be recovered."
  type        = number
}

variable "allowed_ip_ranges" {
  description = "Public addresses or CIDR ranges that may reach the state; empty allows any address with a valid token."
  type        = list(string)
}

variable "state_principals" {
  description = "Principals that may read and write state: Entra object ids by label."
  type        = map(string)
}

variable "tags" {
  description = "Tags of the storage account."
  type        = map(string)
}
