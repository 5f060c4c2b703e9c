"""Chooses the engine that runs a gateway."""

from scripts.engines.apisix import ApisixEngine
from scripts.engines.base import Engine, EngineError
from scripts.engines.docker import DockerEngine
from scripts.engines.embedded import EmbeddedEngine

AUTO = "auto"
# Closest to production first.
ENGINES: tuple[Engine, ...] = (DockerEngine(), ApisixEngine(), EmbeddedEngine())
NAMES = (AUTO, *(engine.name for engine in ENGINES))


def names() -> list[str]:
    """What a shell completes the name of an engine to."""
    return list(NAMES)


def _automatic() -> tuple[Engine, str]:
    reasons: list[str] = []
    for engine in ENGINES:
        missing = engine.missing()
        if missing is None:
            why = f"{engine.name} is the first that can run here"
            return engine, "; ".join([why, *reasons])
        reasons.append(f"{engine.name}: {missing}")
    raise EngineError("no engine can run here:", *reasons)


def choose_engine(name: str) -> tuple[Engine, str]:
    """The engine with this name, and why it was chosen; for `auto` the first one that can run here.

    Raises:
        EngineError: there is no such engine, or it cannot run here.
    """
    if name == AUTO:
        return _automatic()
    for engine in ENGINES:
        if engine.name == name:
            missing = engine.missing()
            if missing is not None:
                raise EngineError(f"engine {name} cannot run here: {missing}")
            return engine, "as asked for"
    raise EngineError(f"there is no engine {name}: choose one of {', '.join(NAMES)}")
