# The storage of the Terraform state. The first run keeps this stack's own state on disk and then moves it into the new
# storage. After that any member of the team can deploy from any machine.
data "azurerm_client_config" "current" {}

resource "azurerm_resource_group" "state" {
  name     = module.naming.state_resource_group
  location = var.location
  tags     = local.tags
}

module "state_storage" {
  source = "../../modules/state_storage"

  name                = module.naming.state_storage_account
  resource_group_name = azurerm_resource_group.state.name
  location            = azurerm_resource_group.state.location
  container_name      = module.naming.state_container
  replication_type    = var.state_replication_type
  retention_days      = var.state_retention_days
  allowed_ip_ranges   = var.state_allowed_ip_ranges
  tags                = local.tags

  # Without a list, the person who runs Terraform gets access. With one, exactly the listed principals do: if it depended
  # on who runs Terraform, two people would remove each other's roles.
  state_principals = length(var.state_principals) > 0 ? var.state_principals : {
    deployer = data.azurerm_client_config.current.object_id
  }
}
