"""Runs the rendered gateway on this machine: `with start_gateway(env) as gateway: …`."""

from scripts.engines.errors import EngineError
from scripts.engines.gateway import Gateway
from scripts.engines.launch import start_files, start_gateway
from scripts.engines.selection import choose_engine

__all__ = ["EngineError", "Gateway", "choose_engine", "start_files", "start_gateway"]
