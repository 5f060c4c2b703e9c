variable "stem" {
  description = "Readable part of the resource names."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the workspaces."
  type        = string
}

variable "location" {
  description = "Region of the workspaces."
  type        = string
}

variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
}

variable "log_daily_quota_gb" {
  description = "Ingestion cap in GB a day; -1 for none."
  type        = number
}

variable "trace_retention_days" {
  description = "Days for which traces are kept."
  type        = number
}

variable "alert_emails" {
  description = "Who gets alerts by mail: a label and an address for each."
  type        = map(string)
}

variable "alert_webhooks" {
  description = "Who gets alerts by HTTPS POST in the common alert schema: a label and an address for each."
  type        = map(string)
}

variable "alerts_enabled" {
  description = "Whether alert rules are evaluated."
  type        = bool
}

variable "thresholds" {
  description = "When alerts fire."
  type = object({
    error_percent     = number
    exhausted_percent = number
    failover_percent  = number
  })
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}
