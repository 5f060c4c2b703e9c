# The role that the gateway has on each account lets it call models, and read everything. What it lacks for files and
# batches is in no built-in role that may not also change deployments. Making a role takes more rights than assigning one,
# so it is optional.
resource "azurerm_role_definition" "files_and_batches" {
  count = var.files_and_batches_enabled ? 1 : 0

  role_definition_id = uuidv5("url", "${azurerm_resource_group.foundry.id}/files-and-batches")

  name        = "Azure OpenAI files and batches of ${module.naming.stem}-${module.naming.suffix}"
  description = "Upload and delete files, create and cancel batches. Managed by Terraform."
  scope       = azurerm_resource_group.foundry.id

  permissions {
    data_actions = [
      "Microsoft.CognitiveServices/accounts/OpenAI/files/write",
      "Microsoft.CognitiveServices/accounts/OpenAI/files/delete",
      "Microsoft.CognitiveServices/accounts/OpenAI/batch-jobs/write",
      "Microsoft.CognitiveServices/accounts/OpenAI/batches/cancel/action",
    ]
  }
}

resource "azurerm_role_assignment" "files_and_batches" {
  for_each = var.files_and_batches_enabled ? var.accounts : {}

  name               = uuidv5("url", "${module.account[each.key].id}/files/${var.gateway_identity_principal_id}")
  scope              = module.account[each.key].id
  role_definition_id = azurerm_role_definition.files_and_batches[0].role_definition_resource_id
  principal_id       = var.gateway_identity_principal_id
  principal_type     = "ServicePrincipal"
}
