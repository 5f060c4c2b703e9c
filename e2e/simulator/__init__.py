"""A simulator of Azure OpenAI: several regions on local ports, with scripted faults, quotas and latency.

How it starts:

- `cli`: the command `azure-openai-simulator`; `console` prints for it, `problems` words what is wrong
- `serve_plan`: command-line options and a configuration file become a plan of what to serve
- `regions`: how a region is described: key, deployments, quota, latency
- `fleet`: the regions of one process; `simulator` runs them inside a Python program

What a request passes:

- `wire`: HTTP/1.1 and WebSocket on a socket
- `server`: one region: checks the key, takes a fault, serves the call, records what happened
- `recorder`: every request, and what became of it
- `surfaces`: how paths are formed, and what differs between the surfaces of a resource
- `calls`: a request as a call of the API: its surface, deployment and parameters
- `faults`: the scripted faults, and which of them a request meets
- `routing`: finds the operation of a path; `operations` holds them, one module for each family
- `state`, `quotas`: what a region remembers, and what it has left
- `tokens`: counts the tokens of prompts and makes the text of answers
- `prompts`, `prompt_cache`: a prompt laid out by its tokens, and the beginnings that a region has seen
- `tool_calls`: which tool the model calls, and with what
- `answers`, `error_bodies`: what an operation returns
- `error_forms`, `anthropic_forms`: how a surface words errors
- `delivery`: writes the answer, with the region's latency, and broken as the fault says

How it is steered:

- `admin`: the admin API of a running simulator
- `admin_commands`: the commands that use it
- `toolkit_config`: the configuration that the APIM GenAI gateway toolkit's tests change
"""

from e2e.simulator.faults import Fault
from e2e.simulator.recorder import RecordedRequest
from e2e.simulator.regions import Deployment, Latency, PromptCaching, Quota, Region
from e2e.simulator.simulator import Simulator

__all__ = [
    "Deployment",
    "Fault",
    "Latency",
    "PromptCaching",
    "Quota",
    "RecordedRequest",
    "Region",
    "Simulator",
]
