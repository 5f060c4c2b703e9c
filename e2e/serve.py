"""Keeps a stage running for other clients, for example the locust files of the toolkit."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.console import Console

from e2e.load.plan import CLIENTS
from e2e.targets.local import COMMON_SIMULATOR_KEY, LocalTarget
from e2e.targets.simulators import BACKENDS
from e2e.targets.stage import CONFIG_API, SIMULATORS, TargetError
from renderer.model.backends import Backend
from renderer.names import variables
from renderer.progress import working

KEY_VARIABLE = "SIMULATOR_API_KEY"
"""The variable with the key of backends that somebody else runs. The toolkit reads it, too."""

_TOOLKIT_CLIENTS = ("ONE", "TWO", "THREE")
_TOOLKIT_BACKENDS = ("PTU1", "PAYG1", "PAYG2")


@dataclass(frozen=True)
class Visit:
    """What a stage for other clients needs."""

    settings: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset({SIMULATORS, CONFIG_API})
    routes: frozenset[str] = frozenset()
    replicas: int = 1


def backends_of_others(urls: Sequence[str], key: str | None) -> dict[str, str]:
    """The settings of three backends at other addresses; none without addresses.

    Raises `TargetError` when there are not three of them, or when their key is missing.
    """
    if not urls:
        return {}
    problems = []
    if len(urls) != len(BACKENDS):
        problems.append(f"give --backend three times, for {', '.join(BACKENDS)}, or not at all")
    if not key:
        problems.append(f"--backend needs the key of these backends in the variable {KEY_VARIABLE}")
    if problems:
        raise TargetError(*problems)
    settings: dict[str, str] = {}
    for index, url in enumerate(urls):
        settings |= variables(Backend, index, {"endpoint": url.rstrip("/"), "key": str(key)})
    return settings


def toolkit_variables(
    url: str, keys: Mapping[str, str], backends: Mapping[str, str], simulator_key: str
) -> dict[str, str]:
    """The variables by which the toolkit's tests find a gateway and its backends."""
    found = {"APIM_ENDPOINT": url}
    for number, client in zip(_TOOLKIT_CLIENTS, CLIENTS, strict=True):
        found[f"APIM_SUBSCRIPTION_{number}_KEY"] = keys[client]
    for number, backend in zip(_TOOLKIT_BACKENDS, BACKENDS, strict=True):
        found[f"SIMULATOR_ENDPOINT_{number}"] = backends[backend]
    return found | {KEY_VARIABLE: simulator_key}


def serve(target: LocalTarget, console: Console, urls: Sequence[str] = (), key: str | None = None) -> None:
    """Starts the stage, prints how to reach it, and keeps it running until an interrupt.

    Raises `TargetError` or `EngineError` when it cannot be started.
    """
    settings = backends_of_others(urls, key)
    with ExitStack() as held:
        with working("starting the stage"):
            stage = held.enter_context(target.stage(Visit(settings)))
        backends = {backend.name: backend.endpoint for backend in stage.settings.backends}
        found = toolkit_variables(
            stage.urls[0], stage.keys, backends, key if urls and key else COMMON_SIMULATOR_KEY
        )
        for name, value in found.items():
            console.print(f"export {name}={shlex.quote(value)}", markup=False, soft_wrap=True)
        console.print(
            f"\nThe stage runs until Ctrl-C. Its routes: {stage.urls[0]}/<scenario>/openai/…", soft_wrap=True
        )
        while True:
            # Python never hears a signal that comes just before a wait without an end.
            time.sleep(1)
