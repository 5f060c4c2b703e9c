variable "stem" {
  description = "Readable part of the resource names."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the identity."
  type        = string
}

variable "location" {
  description = "Region of the identity."
  type        = string
}

variable "registry_id" {
  description = "Registry that the gateway pulls its images from."
  type        = string
}

variable "key_vault_id" {
  description = "Vault that the gateway reads its secrets from."
  type        = string
}

variable "metrics_data_collection_rule_id" {
  description = "Data collection rule that the gateway writes metrics through."
  type        = string
}

variable "application_insights_id" {
  description = "Application Insights component that the gateway writes traces to."
  type        = string
}

variable "tags" {
  description = "Tags of the identity."
  type        = map(string)
}
