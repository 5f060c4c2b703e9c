# Style and correctness that Terraform itself does not check. The azurerm rules come as a plugin; where it cannot be
# downloaded the recorded schema in tests/infra checks the arguments.
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
