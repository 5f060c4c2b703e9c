# Style and correctness that Terraform itself does not check. The azurerm rules (tflint-ruleset-azurerm) come as a plugin:
# once its executable is in ~/.tflint.d/plugins, scripts/lint.sh uses it too.
tflint {
  required_version = ">= 0.50"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Stacks keep providers and naming in files of their own, and so do not have one main.tf with everything.
rule "terraform_standard_module_structure" {
  enabled = false
}
