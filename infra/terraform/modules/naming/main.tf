# Every name is a function of the inputs. A stack that is destroyed and made again, from any machine and with an empty
# state, gets the same names; a random suffix would change.
locals {
  derived_suffix = substr(sha1(join("/", [var.subscription_id, var.name, var.environment])), 0, 5)
  suffix         = coalesce(var.suffix, local.derived_suffix)
  stem           = "${var.name}-${var.environment}"
  compact        = "${replace(var.name, "-", "")}${var.environment}${local.suffix}"

  # The deploy command evaluates these names as well (`terraform console`): it must find the state first.
  names = {
    state_resource_group  = "rg-${local.stem}-state"
    state_storage_account = "st${local.compact}"
    state_container       = "tfstate"
    container_registry    = "cr${local.compact}"
    key_vault             = "kv-${local.stem}-${local.suffix}"
  }
}
