# An app that starts before its identity may pull or read fails its first revision. Whoever uses these outputs waits
# for the roles.
output "id" {
  description = "Resource id of the identity."
  value       = azurerm_user_assigned_identity.gateway.id
  depends_on  = [azurerm_role_assignment.gateway]
}

output "client_id" {
  description = "Client id of the identity, by which a container asks for its tokens."
  value       = azurerm_user_assigned_identity.gateway.client_id
  depends_on  = [azurerm_role_assignment.gateway]
}

output "principal_id" {
  description = "Object id of the identity, for role assignments."
  value       = azurerm_user_assigned_identity.gateway.principal_id
}
