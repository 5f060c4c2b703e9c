# /// script
# requires-python = ">=3.11"
# dependencies = ["semantic-kernel==1.45.0"]
# ///
"""The packages that docs/tools/semantic-kernel.md is about; tests/tools runs the page's code with them."""
