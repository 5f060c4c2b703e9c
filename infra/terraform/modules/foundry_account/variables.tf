variable "name" {
  description = "Name and subdomain of the account."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the account."
  type        = string
}

variable "location" {
  description = "Region of the account."
  type        = string
}

variable "kind" {
  description = "Kind of the account: OpenAI or AIServices."
  type        = string
}

variable "private" {
  description = "Whether a private endpoint is the only way to the account."
  type        = bool
}

variable "deployments" {
  description = "Model deployments by name."
  type = map(object({
    model          = string
    version        = string
    format         = string
    sku            = string
    capacity       = number
    content_filter = string
    upgrade        = string
  }))
}

variable "gateway_principal_id" {
  description = "Object id of the gateway's identity."
  type        = string
}

variable "tags" {
  description = "Tags of the account."
  type        = map(string)
}
