# tflint-ignore: azurerm_resources_missing_prevent_destroy # `destroy` removes it last, and only when no stack has resources left.
resource "azurerm_storage_account" "state" {
  #checkov:skip=CKV_AZURE_33:No queue is used, so the queue service has nothing to log.
  #checkov:skip=CKV2_AZURE_1:Azure's own key encrypts the state; a customer-managed key would be in a vault that does not exist before this state.
  #checkov:skip=CKV2_AZURE_33:A deployer's machine and CI must reach the state before any network exists; allowed_ip_ranges limits the addresses.
  #checkov:skip=CKV_AZURE_59:As above. Access needs an Entra token and a role on this account; there is no key and no anonymous access.
  #checkov:skip=CKV_AZURE_36:No trusted service reads or writes state.
  #checkov:skip=CKV_AZURE_35:As above; with allowed_ip_ranges the default action becomes Deny.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location

  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = var.replication_type

  # Only Entra tokens open the account: no account key, no SAS, no anonymous access.
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  allow_nested_items_to_be_public  = false
  local_user_enabled               = false
  cross_tenant_replication_enabled = false

  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  infrastructure_encryption_enabled = true

  sas_policy {
    expiration_action = "Block"
    expiration_period = "00.01:00:00"
  }

  blob_properties {
    # Each write of a state is a version, so a bad apply can be undone.
    versioning_enabled = true

    delete_retention_policy {
      days = var.retention_days
    }

    container_delete_retention_policy {
      days = var.retention_days
    }
  }

  # No Azure service needs access. Besides, the provider takes the usual bypass together with Allow for "no rules" and would
  # add the rules again in every plan.
  network_rules {
    default_action = length(var.allowed_ip_ranges) == 0 ? "Allow" : "Deny"
    bypass         = ["None"]
    ip_rules       = var.allowed_ip_ranges
  }

  tags = var.tags
}

# tflint-ignore: azurerm_resources_missing_prevent_destroy # As for its account; a deleted container can be recovered for a while.
resource "azurerm_storage_container" "state" {
  #checkov:skip=CKV2_AZURE_21:The activity and sign-in logs show who read or wrote state; logs of blob reads need a workspace, which a later stack makes.
  name                  = var.container_name
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}

# Not even the owner of a subscription may read a blob without this role, so each person or pipeline that deploys needs it.
# No argument may depend on a label: with a new label Terraform would remove the role and add it again at the same time.
# Azure can refuse the addition ("already exists") after the removal.
resource "azurerm_role_assignment" "state" {
  for_each = toset(values(var.state_principals))

  name                 = uuidv5("url", "${azurerm_storage_account.state.id}/state/${each.value}")
  scope                = azurerm_storage_account.state.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
  description          = "Reads and writes Terraform state."
}
