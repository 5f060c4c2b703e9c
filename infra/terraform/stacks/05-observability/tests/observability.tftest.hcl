mock_provider "azurerm" {}

override_module {
  target = module.observability
}

variables {
  subscription_id = "00000000-0000-0000-0000-00000000000a"
  name            = "aigw"
  environment     = "dev"
  location        = "swedencentral"
  alert_emails    = { oncall = "oncall@example.com" }
}

run "alerts_without_a_receiver_are_refused" {
  command = plan

  variables {
    alert_emails = {}
  }

  expect_failures = [var.alerts_enabled]
}

run "alerts_may_be_switched_off_instead" {
  command = plan

  variables {
    alert_emails   = {}
    alerts_enabled = false
  }
}

run "a_web_hook_in_the_clear_is_refused" {
  command = plan

  variables {
    alert_webhooks = { chat = "http://example.com" }
  }

  expect_failures = [var.alert_webhooks]
}

run "a_mail_and_a_web_hook_of_the_same_label_are_refused" {
  command = plan

  variables {
    alert_webhooks = { oncall = "https://example.com/hook" }
  }

  expect_failures = [var.alert_webhooks]
}

run "a_bad_subscription_is_refused" {
  command = plan

  variables {
    subscription_id = "my subscription"
  }

  expect_failures = [var.subscription_id]
}
