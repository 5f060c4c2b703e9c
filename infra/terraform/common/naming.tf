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
    stack       = basename(abspath(path.root))
    managed-by  = "terraform"
  })
}
