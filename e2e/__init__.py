"""End-to-end stage: the Azure OpenAI simulator and the load scenarios."""
