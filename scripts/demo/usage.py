"""How to use what `make demo KEEP=1` leaves running."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.demo.stage import Stage

_TEXT = """
The gateway and its regions run until Ctrl-C.

  gateway    {url}
  key        {key}
{regions}  live page  {live}
  metrics    {metrics}
  logs       {log}

With curl:

  curl -i {url}/openai/v1/chat/completions \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"model": "gpt-4o", "messages": [{{"role": "user", "content": "Hello"}}]}}'

With the official client ({python} has it):

  from openai import AzureOpenAI, OpenAI
  client = OpenAI(base_url="{url}/openai/v1/", api_key="{key}")
  azure = AzureOpenAI(
      azure_endpoint="{url}",
      api_key="{key}",
      api_version="2024-10-21",
  )
  print(client.responses.create(model="gpt-4o", input="Hello").output_text)

Make a region fail, see the requests that reached it, and let it recover:

  export AZURE_OPENAI_SIMULATOR_URL={simulator}
  {simulate} fault {region} status=429 retry_after=10 count=3
  {simulate} requests {region}
  {simulate} faults {region} --clear
"""


def usage(stage: Stage) -> str:
    """The addresses, the key and commands to copy."""
    simulator, gateway = stage.simulator, stage.gateway
    first = simulator.regions[0]
    return _TEXT.format(
        url=gateway.url,
        key=stage.client_key,
        regions="".join(f"  region     {simulator.endpoint(name)} {name}\n" for name in simulator.regions),
        live=gateway.live_url,
        metrics=gateway.metrics_url,
        log=gateway.error_log,
        region=first,
        simulator=simulator.endpoint(first),
        python=_from_here(Path(sys.executable)),
        simulate=_from_here(Path(sys.executable).with_name("azure-openai-simulator")),
    )


def _from_here(program: Path) -> Path:
    """A program as it is typed here: `.venv/bin/python` in a clone."""
    return program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program
