"""`python -m scripts.demo`."""

from scripts.demo.cli import main

main()
