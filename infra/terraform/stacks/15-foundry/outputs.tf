output "foundry_resource_group_name" {
  description = "Resource group of the accounts."
  value       = azurerm_resource_group.foundry.name
}

output "azure_openai_backends" {
  description = "The accounts as backends of the gateway. They accept no keys: the gateway calls them with its identity."
  value = [
    for label, account in var.accounts : {
      name        = label
      endpoint    = module.account[label].endpoint
      region      = account.location
      priority    = account.priority
      weight      = account.weight
      deployments = sort(keys(account.deployments))
    }
  ]
}
