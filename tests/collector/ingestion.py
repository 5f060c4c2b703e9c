"""A stand-in for the ingestion endpoint of Application Insights."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.support.loopback_server import LoopbackServer, Reply, Request

KEY = "00000000-0000-0000-0000-000000000001"


class Ingestion(LoopbackServer):
    """Keeps every envelope that arrives; a context manager."""

    def __init__(self) -> None:
        super().__init__(self._take)
        self.envelopes: list[dict[str, Any]] = []
        self.targets: list[str] = []
        """Path and query of each request."""
        self.authorizations: list[str | None] = []

    def _take(self, request: Request) -> Reply:
        zipped = request.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(request.content) if zipped else request.content
        envelopes = [json.loads(line) for line in body.splitlines() if line]
        # The envelopes last: a test that waits for one finds the rest there already.
        self.targets.append(request.target)
        self.authorizations.append(request.headers.get("authorization"))
        self.envelopes.extend(envelopes)
        count = len(envelopes)
        return 200, {"itemsReceived": count, "itemsAccepted": count, "errors": []}, {}

    @property
    def connection_string(self) -> str:
        """A value for `APPLICATIONINSIGHTS_CONNECTION_STRING`."""
        return f"InstrumentationKey={KEY};IngestionEndpoint={self.url}"

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        """The envelopes of a type, such as ``RequestData``."""
        return [each for each in list(self.envelopes) if each["data"]["baseType"] == base_type]
