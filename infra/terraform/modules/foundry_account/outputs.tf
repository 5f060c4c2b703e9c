output "id" {
  description = "Resource id of the account."
  value       = azurerm_cognitive_account.this.id
}

output "name" {
  description = "Name of the account."
  value       = azurerm_cognitive_account.this.name
}

# An account of kind AIServices reports its host name …cognitiveservices…. Accounts of every kind also have a host name
# …openai…; with that one the gateway needs a single private DNS zone.
output "endpoint" {
  description = "Address of the account's OpenAI API, without a trailing slash. Known once the deployments and the gateway's role exist."
  value       = trimsuffix(replace(azurerm_cognitive_account.this.endpoint, ".cognitiveservices.", ".openai."), "/")
  depends_on  = [azurerm_cognitive_deployment.this, azurerm_role_assignment.gateway]
}
