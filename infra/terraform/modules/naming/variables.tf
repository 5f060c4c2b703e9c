variable "subscription_id" {
  description = "Subscription that the names belong to; it takes part in the derived suffix."
  type        = string
}

variable "name" {
  description = "Short name of the installation."
  type        = string
}

variable "environment" {
  description = "Environment, for example dev, stg or prod."
  type        = string
}

variable "suffix" {
  description = "Replaces the derived suffix of the globally unique names."
  type        = string
  default     = null
}
