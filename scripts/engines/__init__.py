"""Runs the rendered gateway on this machine: `with start_gateway(env) as gateway: …`.

The modules in the order of a start:

- `base`: what an engine is, and what it is given: `Engine`, `Instance`, `Launch`, `Ports`, `EngineError`
- `selection`: which engine runs the gateway
- `files`: the rendered files, and how they are fitted to this machine
- `ports`: free loopback ports for the listeners
- `embedded` (with `nginx_conf`), `apisix`, `docker`: the engines; each prepares a process to start
- `process`: starts the process, waits until it is ready, stops it
- `gateway`: the running gateway: its addresses and logs, reload and stop
- `launch`: does all of this in one call
"""

from scripts.engines.base import EngineError
from scripts.engines.gateway import Gateway
from scripts.engines.launch import start_files, start_gateway
from scripts.engines.selection import choose_engine

__all__ = ["EngineError", "Gateway", "choose_engine", "start_files", "start_gateway"]
