# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "anthropic==0.125.0",
#     "llama-index-core==0.14.25",
#     "llama-index-llms-anthropic==0.12.3",
#     "llama-index-llms-azure-openai==0.6.1",
#     "llama-index-llms-openai-like==0.8.1",
# ]
# ///
"""The packages that docs/tools/llamaindex.md is about; tests/tools runs the page's code with them."""
