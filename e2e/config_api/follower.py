"""Publishes the preference whenever it changes, also when another replica's config API changed it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Protocol

from e2e.config_api.preferences import Preferences, UnavailableError
from e2e.config_api.publisher import PublishError

_log = logging.getLogger(__name__)

# So soon other replicas follow a change.
_POLL_SECONDS = 0.2
_RETRY_SECONDS = 5.0


class Publishing(Protocol):
    """What the follower needs of `publisher.Publisher`."""

    def publish(self, names: tuple[str, ...]) -> bool:
        """Put a preference into force. Raises `PublishError`."""


class Follower:
    """Keeps the gateway's configuration at the preference that holds now."""

    def __init__(
        self, preferences: Preferences, publisher: Publishing, refresh_seconds: float | None = None
    ) -> None:
        """With `refresh_seconds`, other settings are read again this often, as by `render-config --watch`."""
        self._preferences = preferences
        self._publisher = publisher
        self._refresh_seconds = refresh_seconds
        self._lock = asyncio.Lock()
        self._published: tuple[str, ...] | None = None
        self._published_at = 0.0
        self._complaint = ""

    @property
    def is_ready(self) -> bool:
        """Whether some preference is in force."""
        return self._published is not None

    async def catch_up(self) -> None:
        """Publish the preference unless it is in force. Raises `UnavailableError` and `PublishError`."""
        async with self._lock:
            names = await self._preferences.read()
            if names == self._published and not self._is_stale():
                return
            # The settings may come from Key Vault; others are answered meanwhile.
            if await asyncio.to_thread(self._publisher.publish, names):
                _log.info("apisix.yaml changed; preferred backends: %s", json.dumps(names))
            self._published, self._published_at = names, time.monotonic()

    def _is_stale(self) -> bool:
        age = time.monotonic() - self._published_at
        return self._refresh_seconds is not None and age >= self._refresh_seconds

    async def run(self) -> None:
        """Follow until cancelled. A failure is logged once, and tried again."""
        while True:
            pause = _POLL_SECONDS
            try:
                await self.catch_up()
                self._complaint = ""
            except (UnavailableError, PublishError) as error:
                pause = _RETRY_SECONDS if isinstance(error, PublishError) else _POLL_SECONDS
                if str(error) != self._complaint:
                    self._complaint = str(error)
                    _log.error("%s; the last good configuration stays", error)
            await asyncio.sleep(pause)
