output "id" {
  description = "The account."
  value       = azurerm_cognitive_account.this.id
}

output "name" {
  description = "Name of the account."
  value       = azurerm_cognitive_account.this.name
}

# An account of kind AIServices calls itself …cognitiveservices…, but has the name of the OpenAI API as well: the one that
# every kind has, and the one private DNS zone that the gateway needs.
output "endpoint" {
  description = "Address of the account's OpenAI API, without a trailing slash; read once the deployments and the gateway's role exist."
  value       = trimsuffix(replace(azurerm_cognitive_account.this.endpoint, ".cognitiveservices.", ".openai."), "/")
  depends_on  = [azurerm_cognitive_deployment.this, azurerm_role_assignment.gateway]
}
