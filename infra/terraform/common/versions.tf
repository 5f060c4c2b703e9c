terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.81, < 6"
    }
  }

  # The deploy command adds the address of the state: account, container and key. Access is with a token, never with an
  # account key.
  backend "azurerm" {
    use_azuread_auth = true
  }
}
