# The outputs wait for the roles: the first revision of an app fails when its identity may not yet pull images or read
# secrets.
output "id" {
  description = "Resource id of the identity."
  value       = azurerm_user_assigned_identity.gateway.id
  depends_on  = [azurerm_role_assignment.gateway]
}

output "client_id" {
  description = "Client id of the identity, with which a container asks for tokens."
  value       = azurerm_user_assigned_identity.gateway.client_id
  depends_on  = [azurerm_role_assignment.gateway]
}

output "principal_id" {
  description = "Object id of the identity, for role assignments."
  value       = azurerm_user_assigned_identity.gateway.principal_id
}
