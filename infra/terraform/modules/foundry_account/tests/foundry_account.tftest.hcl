mock_provider "azurerm" {
  mock_resource "azurerm_cognitive_account" {
    defaults = {
      id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/oai"
      endpoint = "https://oai-aigw-dev-sweden-x7.openai.azure.com/"
    }
  }
}

variables {
  name                 = "oai-aigw-dev-sweden-x7"
  resource_group_name  = "rg"
  location             = "swedencentral"
  kind                 = "AIServices"
  private              = false
  gateway_principal_id = "00000000-0000-0000-0000-00000000000e"
  tags                 = {}
  deployments = {
    "gpt-4o-mini" = {
      model          = "gpt-4o-mini"
      version        = "2024-07-18"
      format         = "OpenAI"
      sku            = "GlobalStandard"
      capacity       = 10
      content_filter = null
      upgrade        = "NoAutoUpgrade"
    }
  }
}

run "tokens_open_it_and_keys_do_not" {
  assert {
    condition     = azurerm_cognitive_account.this.custom_subdomain_name == var.name && !azurerm_cognitive_account.this.local_auth_enabled
    error_message = "An account without a subdomain takes no Entra tokens."
  }
}

run "the_gateway_may_call_it_and_no_more" {
  assert {
    condition     = azurerm_role_assignment.gateway.role_definition_name == "Cognitive Services OpenAI User" && azurerm_role_assignment.gateway.scope == azurerm_cognitive_account.this.id
    error_message = "The role belongs on the account."
  }
}

run "the_endpoint_is_as_the_gateway_wants_it" {
  assert {
    condition     = output.endpoint == "https://oai-aigw-dev-sweden-x7.openai.azure.com"
    error_message = "Without a trailing slash."
  }
}

run "every_kind_has_the_name_of_the_openai_api" {
  override_resource {
    target = azurerm_cognitive_account.this
    values = {
      id       = "/subscriptions/00000000-0000-0000-0000-00000000000a/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/oai"
      endpoint = "https://oai-aigw-dev-sweden-x7.cognitiveservices.azure.com/"
    }
  }

  assert {
    condition     = output.endpoint == "https://oai-aigw-dev-sweden-x7.openai.azure.com"
    error_message = "The gateway calls, and the private DNS zone knows, the name of the OpenAI API."
  }
}

run "a_private_account_takes_no_public_connection" {
  command = plan

  variables {
    private = true
  }

  assert {
    condition     = !azurerm_cognitive_account.this.public_network_access_enabled
    error_message = "Public access must be off."
  }
}
