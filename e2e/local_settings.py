"""Settings for gateways whose backends run on this machine."""

from renderer.model.backends import Backend
from renderer.model.clients import Client
from renderer.names import variables


def client_settings(index: int, name: str, key: str) -> dict[str, str]:
    """Settings of a client with that key."""
    return variables(Client, index, {"name": name, "key": key})


def backend_settings(index: int, name: str, endpoint: str, **others: str) -> dict[str, str]:
    """Settings of a backend at a URL; `others` are further fields of `Backend`.

    Example: `(0, "eastus", "http://127.0.0.1:8080", priority="1")` → `{"AZURE_OPENAI_NAME_0": "eastus",
    "AZURE_OPENAI_KEY_0": "key-of-eastus", …}`.
    """
    return variables(Backend, index, {"name": name, "endpoint": endpoint, "key": backend_key(name), **others})


def backend_key(name: str) -> str:
    """The key that the backend of that name accepts."""
    return f"key-of-{name}"
