terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.81, < 6"
    }
  }

  # Where the state is comes from the deploy command: account, container and key, with a token and never with an
  # account key.
  backend "azurerm" {
    use_azuread_auth = true
  }
}
