# Where Terraform state lives. The first run keeps this stack's own state on disk, then moves it into the storage
# it has just made; from then on any member of the team can take over from any machine.
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

  # Without a list, whoever runs the first deployment gets access. With one, it is exactly the list: it must not
  # depend on who happens to run Terraform, or two people would undo each other's roles.
  state_principals = length(var.state_principals) > 0 ? var.state_principals : {
    deployer = data.azurerm_client_config.current.object_id
  }
}
