"""`python -m e2e.config_api`."""

from e2e.config_api.cli import main

main()
