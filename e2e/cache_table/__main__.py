"""`python -m e2e.cache_table`."""

from e2e.cache_table.cli import main

main()
