variable "name" {
  description = "Name of the Container App."
  type        = string
}

variable "resource_group_name" {
  description = "Resource group of the app."
  type        = string
}

variable "environment_id" {
  description = "Container Apps environment."
  type        = string
}

variable "identity_id" {
  description = "Identity that pulls the image and reads the secrets."
  type        = string
}

variable "registry_login_server" {
  description = "Registry of the image; null for a public image."
  type        = string
}

variable "image" {
  description = "Image of the container."
  type        = string
}

variable "command" {
  description = "Command of the container; empty for the image's own."
  type        = list(string)
}

variable "args" {
  description = "Arguments of the container."
  type        = list(string)
}

variable "env" {
  description = "Environment variables of the container, without secrets."
  type        = map(string)
}

variable "secrets" {
  description = "Keys that the calls of the app need: the id of each Key Vault secret, by the environment variable for it. At least one, so the app never answers without a key."
  type        = map(string)

  validation {
    condition     = length(var.secrets) > 0
    error_message = "secrets must have a key: without one the app would answer every call."
  }
}

variable "external" {
  description = "Whether the app is reachable from outside the environment. Only HTTPS can be: plain TCP would carry its password in the clear."
  type        = bool

  validation {
    condition     = !var.external || !var.tcp
    error_message = "An app with plain TCP must stay inside the environment."
  }
}

variable "allowed_ip_ranges" {
  description = "CIDR ranges that may call the app, by name; empty for all addresses. Private addresses may always."
  type        = map(string)
}

variable "port" {
  description = "Port that the container listens on."
  type        = number
}

variable "tcp" {
  description = "Whether the ingress passes plain TCP instead of HTTP."
  type        = bool
}

variable "cpu" {
  description = "vCPU of the container; memory is 2 GiB for each vCPU."
  type        = number
}

variable "tags" {
  description = "Tags of the app."
  type        = map(string)
}
