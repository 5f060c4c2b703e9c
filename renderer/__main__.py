"""`python -m renderer` is `render-config`."""

from renderer.cli import main

main()
