variable "subscription_id" {
  description = "Subscription to deploy to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.subscription_id))
    error_message = "subscription_id must be a subscription's GUID, as `az account show --query id` prints it."
  }
}

variable "name" {
  description = "Short name of the installation, the same in every stack: 2 to 8 lower-case letters, digits and single dashes."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])+$", var.name)) && length(var.name) <= 8
    error_message = "name must be 2 to 8 characters of a-z, 0-9 and single dashes, start with a letter and not end with a dash."
  }
}

variable "environment" {
  description = "Environment, the same in every stack: 2 to 6 lower-case letters and digits, for example dev, stg or prod."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,5}$", var.environment))
    error_message = "environment must be 2 to 6 characters of a-z and 0-9 and start with a letter."
  }
}

variable "location" {
  description = "Azure region of this stack's resources, for example swedencentral."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+$", var.location))
    error_message = "location must be a region's short name: lower case, no spaces, for example swedencentral."
  }
}

variable "suffix" {
  description = "Suffix of globally unique names, instead of the one derived from subscription, name and environment. Set it only when a derived name is taken."
  type        = string
  default     = null

  validation {
    condition     = var.suffix == null ? true : can(regex("^[a-z0-9]{1,5}$", var.suffix))
    error_message = "suffix must be 1 to 5 characters of a-z and 0-9."
  }
}

variable "tags" {
  description = "Tags for every resource, in addition to application, environment, stack and managed-by."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "adopt_existing" {
  description = "Whether what a run left half made, and no state knows, is taken over instead of refused. The deploy commands set it after a run of theirs that did not end well."
  type        = bool
  default     = false
  nullable    = false
}
