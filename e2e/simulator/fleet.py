"""The regions of one process, on one event loop."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.simulator.admin import Admin
from e2e.simulator.regions import Region
from e2e.simulator.server import RegionServer
from e2e.simulator.wire.connection import Channel, Handler
from e2e.simulator.wire.http import Request


class Fleet:
    """Starts and stops several regions, each on a port of its own, with one admin API."""

    def __init__(self, regions: Sequence[Region], host: str, admin_key: str | None) -> None:
        self.servers: dict[str, RegionServer] = {}
        admin = Admin(self.servers, admin_key)
        for region in regions:
            self.servers[region.name] = RegionServer(region, host, _admin_of(admin, region.name))

    async def open(self) -> None:
        """Listen on every port. Raises ``OSError`` when one cannot be used; then none is left open."""
        try:
            for server in self.servers.values():
                await server.listener.open()
        except OSError:
            self.shut()
            raise

    def shut(self) -> None:
        """Close every port and connection."""
        for server in self.servers.values():
            server.listener.shut()


def _admin_of(admin: Admin, name: str) -> Handler:
    async def handle(request: Request, channel: Channel) -> None:
        await admin.handle(name, request, channel)

    return handle
