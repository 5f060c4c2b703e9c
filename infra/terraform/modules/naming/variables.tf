variable "subscription_id" {
  description = "Id of the subscription. The derived suffix depends on it."
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
  description = "Suffix of the globally unique names, instead of the derived one."
  type        = string
  default     = null
}
