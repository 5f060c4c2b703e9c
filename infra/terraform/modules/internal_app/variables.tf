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
  description = "Identity that pulls the image and reads the secret."
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

variable "secret" {
  description = "Key that every call of the app needs: the environment variable for it, and the id of the Key Vault secret."
  type = object({
    variable = string
    id       = string
  })
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
