"""The deploy commands: from Terraform stacks and tfvars to a running gateway in Azure, and back."""
