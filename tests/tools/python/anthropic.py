# /// script
# requires-python = ">=3.11"
# dependencies = ["anthropic==2.14.0"]
# ///
"""The packages that docs/tools/anthropic-sdk.md is about; tests/tools runs the page's code with them."""
