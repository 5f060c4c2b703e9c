# Every name is a function of its inputs: a stack that is destroyed and created again, from any machine and with an
# empty state, gets the same names. A random suffix would not survive that.
locals {
  derived_suffix = substr(sha1(join("/", [var.subscription_id, var.name, var.environment])), 0, 5)
  suffix         = coalesce(var.suffix, local.derived_suffix)
  stem           = "${var.name}-${var.environment}"
  compact        = "${replace(var.name, "-", "")}${var.environment}${local.suffix}"

  # The deploy command evaluates these in the same way (`terraform console`), to find the state before anything else.
  names = {
    state_resource_group  = "rg-${local.stem}-state"
    state_storage_account = "st${local.compact}"
    state_container       = "tfstate"
    container_registry    = "cr${local.compact}"
    key_vault             = "kv-${local.stem}-${local.suffix}"
  }
}
