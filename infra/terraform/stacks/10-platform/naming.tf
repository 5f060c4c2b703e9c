module "naming" {
  source = "../../modules/naming"

  subscription_id = var.subscription_id
  name            = var.name
  environment     = var.environment
  suffix          = var.suffix
}

locals {
  tags = merge(var.tags, {
    application = var.name
    environment = var.environment
    stack       = "10-platform"
    managed-by  = "terraform"
  })
}
