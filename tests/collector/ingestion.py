"""The ingestion endpoint of Application Insights, as the collector sees it."""

from __future__ import annotations

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

KEY = "00000000-0000-0000-0000-000000000001"


class Ingestion:
    """Listens on a free port of loopback and keeps every envelope; a context manager."""

    def __init__(self) -> None:
        self.envelopes: list[dict[str, Any]] = []
        self.targets: list[str] = []
        """Path and query of each request."""
        self.authorizations: list[str | None] = []
        ingestion = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                envelopes = [json.loads(line) for line in body.splitlines() if line]
                # The envelopes last: who waits for one finds the rest there already.
                ingestion.targets.append(self.path)
                ingestion.authorizations.append(self.headers["authorization"])
                ingestion.envelopes.extend(envelopes)
                count = len(envelopes)
                answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def connection_string(self) -> str:
        """What `APPLICATIONINSIGHTS_CONNECTION_STRING` is set to."""
        return f"InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:{self._server.server_port}"

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        """The envelopes of a type, such as ``RequestData``."""
        return [each for each in list(self.envelopes) if each["data"]["baseType"] == base_type]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
