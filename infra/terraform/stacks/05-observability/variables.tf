variable "log_retention_days" {
  description = "Days for which logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days must be from 30 to 730."
  }
}

variable "log_daily_quota_gb" {
  description = "Daily ingestion cap in GB, a guard against a high bill; -1 for none. Once it is reached, alerts on logs see nothing."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.log_daily_quota_gb == -1 || var.log_daily_quota_gb >= 0.1
    error_message = "log_daily_quota_gb must be -1 (no cap) or at least 0.1."
  }
}

variable "trace_retention_days" {
  description = "Days for which traces are kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = contains([30, 60, 90, 120, 180, 270, 365, 550, 730], var.trace_retention_days)
    error_message = "trace_retention_days must be 30, 60, 90, 120, 180, 270, 365, 550 or 730."
  }
}

variable "alert_emails" {
  description = "Mail addresses that get alerts, by label."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for address in values(var.alert_emails) : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alert_emails must map a label to a mail address, for example { oncall = \"oncall@example.com\" }."
  }
}

variable "alert_webhooks" {
  description = "Addresses that get alerts by HTTPS POST in the common alert schema, by label. The state contains the addresses."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for address in values(var.alert_webhooks) : startswith(address, "https://")])
    error_message = "alert_webhooks must map a label to an https address."
  }

  validation {
    condition     = length(setintersection(keys(var.alert_emails), keys(var.alert_webhooks))) == 0
    error_message = "alert_emails and alert_webhooks must not share a label: a label must be unique in an action group."
  }
}

variable "alerts_enabled" {
  description = "Whether alert rules are evaluated. Needs alert_emails or alert_webhooks."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = !var.alerts_enabled || length(var.alert_emails) + length(var.alert_webhooks) > 0
    error_message = "alerts_enabled is true, but alerts would notify nobody: set alert_emails or alert_webhooks, or alerts_enabled = false."
  }
}

variable "alert_thresholds" {
  description = "Thresholds of the alerts, over ten minutes: error_percent of requests that end with a 5xx, exhausted_percent of requests that no backend could serve, failover_percent of failed attempts for each 100 requests. silent_minutes: minutes without metrics of any replica, 0 for a gateway that may scale to zero. daily_budget_usd: estimated cost of 24 hours, 0 for none."
  type = object({
    error_percent     = optional(number, 5)
    exhausted_percent = optional(number, 2)
    failover_percent  = optional(number, 30)
    silent_minutes    = optional(number, 0)
    daily_budget_usd  = optional(number, 0)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name, percent in var.alert_thresholds : percent >= 0 && percent <= 100 if endswith(name, "_percent")])
    error_message = "alert_thresholds that end in _percent must be from 0 to 100."
  }

  validation {
    condition     = var.alert_thresholds.silent_minutes == 0 || var.alert_thresholds.silent_minutes >= 5 && var.alert_thresholds.silent_minutes <= 1440 && floor(var.alert_thresholds.silent_minutes) == var.alert_thresholds.silent_minutes
    error_message = "alert_thresholds.silent_minutes must be 0 (off) or a whole number from 5 to 1440."
  }

  validation {
    condition     = var.alert_thresholds.daily_budget_usd >= 0
    error_message = "alert_thresholds.daily_budget_usd must be 0 (off) or more."
  }
}

variable "grafana" {
  description = "Managed Grafana, which is paid by the hour and by user: whether to make one, and its major version, one that Azure offers now. Making it needs the right to assign roles."
  type = object({
    enabled       = optional(bool, false)
    major_version = optional(string, "12")
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^[0-9]+$", var.grafana.major_version))
    error_message = "grafana.major_version must be a number such as \"12\"."
  }
}
