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
  description = "Resource id of the registry from which the gateway pulls its images."
  type        = string
}

variable "key_vault_id" {
  description = "Resource id of the vault from which the gateway reads its secrets."
  type        = string
}

variable "metrics_data_collection_rule_id" {
  description = "Resource id of the data collection rule through which the gateway writes metrics."
  type        = string
}

variable "application_insights_id" {
  description = "Resource id of the Application Insights component to which the gateway writes traces."
  type        = string
}

variable "tags" {
  description = "Tags of the identity."
  type        = map(string)
}
