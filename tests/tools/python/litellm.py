# /// script
# requires-python = ">=3.11"
# dependencies = ["litellm==1.110.2"]
# ///
"""The packages that docs/tools/litellm.md is about; tests/tools runs the page's code with them."""
