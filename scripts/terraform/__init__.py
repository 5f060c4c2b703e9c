"""Runs Terraform (or OpenTofu) for the deploy commands."""
