# /// script
# requires-python = ">=3.11"
# dependencies = ["openai-agents==0.24.0"]
# ///
"""The packages that docs/tools/openai-agents.md is about; tests/tools runs the page's code with them."""
