variable "stem" {
  description = "Readable part of the rule names."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the rules."
  type        = string
}

variable "app_id" {
  description = "Container App that the rules watch."
  type        = string
}

variable "action_group_id" {
  description = "Action group that the rules notify."
  type        = string
}

variable "enabled" {
  description = "Whether the rules are evaluated."
  type        = bool
}

variable "min_replicas" {
  description = "Replicas that should always run."
  type        = number
}

variable "max_replicas" {
  description = "Highest number of replicas."
  type        = number
}

variable "tags" {
  description = "Tags of the rules."
  type        = map(string)
}
