# /// script
# requires-python = ">=3.11"
# dependencies = ["langchain==1.5.2", "langchain-anthropic==1.7.10", "langchain-openai==1.7.4"]
# ///
"""The packages that docs/tools/langchain.md is about; tests/tools runs the page's code with them."""
