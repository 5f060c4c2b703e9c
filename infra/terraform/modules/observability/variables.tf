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
  description = "Daily ingestion cap in GB; -1 for none."
  type        = number
}

variable "trace_retention_days" {
  description = "Days for which traces are kept."
  type        = number
}

variable "alert_emails" {
  description = "Mail addresses that get alerts, by label."
  type        = map(string)
}

variable "alert_webhooks" {
  description = "Addresses that get alerts by HTTPS POST in the common alert schema, by label."
  type        = map(string)
}

variable "alerts_enabled" {
  description = "Whether alert rules are evaluated."
  type        = bool
}

variable "thresholds" {
  description = "What makes alerts fire: percentages, minutes without metrics, USD a day. The last two are off at 0."
  type = object({
    error_percent     = number
    exhausted_percent = number
    failover_percent  = number
    silent_minutes    = number
    daily_budget_usd  = number
  })
}

variable "grafana" {
  description = "Managed Grafana: whether to make one, and of which major version."
  type = object({
    enabled       = bool
    major_version = string
  })
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}
