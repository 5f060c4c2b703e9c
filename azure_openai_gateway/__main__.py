"""`python -m azure_openai_gateway` is `aoai-gateway`."""

from azure_openai_gateway.commands import aoai_gateway

aoai_gateway()
