# tflint-ignore: azurerm_resources_missing_prevent_destroy # `destroy` takes it last, and only when no stack has state left.
resource "azurerm_storage_account" "state" {
  #checkov:skip=CKV_AZURE_33:No queue is used; the queue service holds nothing to log.
  #checkov:skip=CKV2_AZURE_1:State is encrypted by the platform's key; a customer-managed key would have to live in a vault that this very state creates.
  #checkov:skip=CKV2_AZURE_33:The state has to be reachable from a deployer's machine and from CI before any network exists; allowed_ip_ranges narrows it.
  #checkov:skip=CKV_AZURE_59:As above. Access needs an Entra token and a role on this account; there is no key and no anonymous access.
  #checkov:skip=CKV_AZURE_36:No trusted service reads or writes state.
  #checkov:skip=CKV_AZURE_35:As above; with allowed_ip_ranges the default action becomes Deny.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location

  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = var.replication_type

  # Entra only: no account key, no SAS made from one, no anonymous blob.
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
    # Each state write is a version: a bad apply can be undone.
    versioning_enabled = true

    delete_retention_policy {
      days = var.retention_days
    }

    container_delete_retention_policy {
      days = var.retention_days
    }
  }

  # No service of Azure's own has business here. The provider also takes the usual bypass together with Allow for no rules
  # at all, and would add them again at every plan.
  network_rules {
    default_action = length(var.allowed_ip_ranges) == 0 ? "Allow" : "Deny"
    bypass         = ["None"]
    ip_rules       = var.allowed_ip_ranges
  }

  tags = var.tags
}

# tflint-ignore: azurerm_resources_missing_prevent_destroy # As its account; what is deleted can be brought back for a while.
resource "azurerm_storage_container" "state" {
  #checkov:skip=CKV2_AZURE_21:Who read or wrote state is in the activity and sign-in logs; blob read logging needs a workspace that a later stack creates.
  name                  = var.container_name
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"
}

# The owner of a subscription may manage a storage account and still not read a blob in it: state access is a role of
# its own, for each person or pipeline that deploys. Nothing here may depend on a label: whoever gets another one would have
# the role taken away and given back side by side, which Azure can refuse ("already exists") after it was taken away.
resource "azurerm_role_assignment" "state" {
  for_each = toset(values(var.state_principals))

  scope                = azurerm_storage_account.state.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
  description          = "Reads and writes Terraform state."
}
