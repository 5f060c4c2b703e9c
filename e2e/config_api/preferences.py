"""Where the preferred backends are kept: in Redis for all replicas, or in this process for a single one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from renderer.model.gateway import Redis as RedisSettings

SECONDS = 12_000
"""How long a preference holds, as in the APIM GenAI gateway toolkit."""

_KEY = "azure-openai:e2e:preferred-backends"
# Two tries of this length end before the gateway gives up on the config API.
_TIMEOUT_SECONDS = 2


class UnavailableError(Exception):
    """The preference can neither be read nor written now; the text says why."""


class Preferences(Protocol):
    """Names of backends, the best first; no names when nobody prefers any."""

    async def read(self) -> tuple[str, ...]:
        """The preference that holds now. Raises `UnavailableError`."""

    async def write(self, names: tuple[str, ...]) -> None:
        """Replace it, for `SECONDS` from now. Raises `UnavailableError`."""

    async def close(self) -> None:
        """Let go of connections."""


class InProcess:
    """Keeps the preference in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._names: tuple[str, ...] = ()
        self._until = 0.0

    async def read(self) -> tuple[str, ...]:
        """The last one written, for as long as it holds."""
        return self._names if self._clock() < self._until else ()

    async def write(self, names: tuple[str, ...]) -> None:
        """Replace it."""
        self._names, self._until = names, self._clock() + SECONDS

    async def close(self) -> None:
        """Nothing is open."""


class InRedis:
    """Keeps the preference in Redis, which all replicas read; the last write wins."""

    def __init__(self, settings: RedisSettings) -> None:
        assert settings.host is not None
        password = settings.password.get_secret_value() if settings.password else None
        self._redis = Redis(
            host=settings.host,
            port=settings.port,
            password=password,
            ssl=settings.tls,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            # A connection that died while it was idle is replaced once.
            retry=Retry(NoBackoff(), 1),
        )

    async def read(self) -> tuple[str, ...]:
        """What Redis holds; nothing when that is no list of names."""
        try:
            text = await self._redis.get(_KEY)
        except (RedisError, OSError) as error:
            raise UnavailableError(_why(error)) from error
        return _names_in(text)

    async def write(self, names: tuple[str, ...]) -> None:
        """Replace what Redis holds."""
        try:
            await self._redis.set(_KEY, json.dumps(names), ex=SECONDS)
        except (RedisError, OSError) as error:
            raise UnavailableError(_why(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _why(error: Exception) -> str:
    return f"Redis cannot be used ({type(error).__name__})"


def _names_in(text: bytes | str | None) -> tuple[str, ...]:
    """The names in a text of `write`. Example: `["payg-backend-2"]` → `("payg-backend-2",)`."""
    try:
        names = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return ()
    if not isinstance(names, list):
        return ()
    return tuple(name for name in names if isinstance(name, str))
