resource "azurerm_private_dns_zone" "this" {
  name                = var.name
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

# azurerm 4.x and 5.x use different arguments for the zone of a link or record, so those resources would work with only one
# of them. A template deployment works with both.
resource "azurerm_resource_group_template_deployment" "content" {
  name                = "dns-${substr(sha1(var.name), 0, 8)}"
  resource_group_name = var.resource_group_name
  deployment_mode     = "Incremental"

  template_content = jsonencode({
    "$schema"      = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    contentVersion = "1.0.0.0"
    resources = concat(
      [{
        type       = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
        apiVersion = "2020-06-01"
        name       = "${azurerm_private_dns_zone.this.name}/gateway"
        location   = "global"
        tags       = var.tags
        properties = {
          registrationEnabled = false
          virtualNetwork      = { id = var.virtual_network_id }
        }
      }],
      [for name, address in var.records : {
        type       = "Microsoft.Network/privateDnsZones/A"
        apiVersion = "2020-06-01"
        name       = "${azurerm_private_dns_zone.this.name}/${name}"
        properties = {
          ttl      = 300
          aRecords = [{ ipv4Address = address }]
        }
      }],
    )
  })

  tags = var.tags
}
