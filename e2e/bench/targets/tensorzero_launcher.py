"""Starts TensorZero's HTTP gateway. It runs in an environment of its own, without this project.

Arguments: the configuration, the file that gets the gateway's address, a port to listen on once it serves.
"""

import importlib
import signal
import socket
import sys
from pathlib import Path

config, address, port = sys.argv[1:]
tensorzero = importlib.import_module("tensorzero")
gateway = tensorzero._start_http_gateway(
    config_file=config, clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
Path(address).write_text(gateway.base_url)
with socket.create_server(("127.0.0.1", int(port))):
    signal.pause()
