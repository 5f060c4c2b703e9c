# Every name is a function of its inputs: a stack that is destroyed and created again, from any machine and with an
# empty state, gets the same names. A random suffix would not survive that.
locals {
  derived_suffix = substr(sha1(join("/", [var.subscription_id, var.name, var.environment])), 0, 5)
  suffix         = coalesce(var.suffix, local.derived_suffix)
  stem           = "${var.name}-${var.environment}"
  compact        = "${replace(var.name, "-", "")}${var.environment}${local.suffix}"
}
