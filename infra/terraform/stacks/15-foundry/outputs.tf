output "foundry_resource_group_name" {
  description = "Resource group of the accounts."
  value       = azurerm_resource_group.foundry.name
}

output "azure_openai_backends" {
  description = "One entry for each account, in the gateway's terms. There are no keys in it: where an account accepts keys, the deploy command reads them from Azure and puts them into Key Vault."
  value = [
    for label, account in var.accounts : {
      name         = label
      account_name = module.account[label].name
      endpoint     = module.account[label].endpoint
      region       = account.location
      auth         = account.local_auth_enabled ? "key" : "managed-identity"
      priority     = account.priority
      weight       = account.weight
      deployments  = sort(keys(account.deployments))
    }
  ]
}
