# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[anthropic,openai]==2.68.0"]
# ///
"""The packages that docs/tools/pydantic-ai.md is about; tests/tools runs the page's code with them."""
