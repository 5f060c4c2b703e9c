variables {
  subscription_id = "00000000-0000-0000-0000-00000000000a"
  name            = "aigw"
  environment     = "dev"
}

run "names_survive_recreation" {
  command = plan

  assert {
    condition     = output.suffix == substr(sha1("00000000-0000-0000-0000-00000000000a/aigw/dev"), 0, 5)
    error_message = "The suffix must depend on the inputs alone."
  }
}

run "a_chosen_suffix_replaces_the_derived_one" {
  command = plan

  variables {
    suffix = "x7"
  }

  assert {
    condition     = output.key_vault == "kv-aigw-dev-x7" && output.state_storage_account == "staigwdevx7"
    error_message = "The suffix must be the chosen one."
  }
}

run "the_longest_names_fit" {
  command = plan

  variables {
    name        = "abcdefgh"
    environment = "abcdef"
  }

  assert {
    condition     = length(output.state_storage_account) <= 24 && length(output.key_vault) <= 24
    error_message = "Storage accounts and vaults have names of at most 24 characters."
  }
}

run "names_without_dashes_stay_so" {
  command = plan

  variables {
    name = "ai-gw"
  }

  assert {
    condition     = can(regex("^[a-z0-9]+$", output.state_storage_account)) && can(regex("^[a-z0-9]+$", output.container_registry))
    error_message = "Storage accounts and registries take no dashes."
  }
}
