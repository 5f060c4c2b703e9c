"""A receiver of Prometheus remote write 1.0: what an Azure Monitor workspace would be sent."""

from __future__ import annotations

import ssl
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import cramjam

from tests.support.certificates import Certificate
from tests.support.prometheus import Sample
from tests.support.protobuf import as_bytes, fields_of, members

PATH = "/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"


class RemoteWriteReceiver:
    """Listens on a free port of loopback, with TLS, and keeps every sample; a context manager."""

    def __init__(self, certificate: Certificate) -> None:
        self.failures = 0
        """How many requests to turn away, with 503, before it takes one."""
        self.turned_away = 0
        self.targets: list[str] = []
        """Path and query of each request that it took."""
        self.authorizations: list[str | None] = []
        self._samples: list[Sample] = []
        self._certificate = certificate
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain_and_key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        """Where to write to."""
        return f"https://127.0.0.1:{self._server.server_port}{PATH}"

    @property
    def trusting_environment(self) -> dict[str, str]:
        """The variables that make the collector trust its certificate."""
        return {"SSL_CERT_FILE": str(self._certificate.pem)}

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """What has arrived so far under a name, with some labels, in the order in which it came."""
        return [each for each in list(self._samples) if each.name == name and each.has(**labels)]

    @property
    def names(self) -> set[str]:
        """The names of all series that have arrived so far."""
        return {sample.name for sample in list(self._samples)}

    def take(self, target: str, authorization: str | None, body: bytes) -> int:
        """Takes one request; returns the status of the answer."""
        if self.turned_away < self.failures:
            self.turned_away += 1
            return 503
        # The samples last: who waits for one finds the rest there already.
        self.authorizations.append(authorization)
        self.targets.append(target)
        self._samples.extend(samples_in(bytes(cramjam.snappy.decompress_raw(body))))
        return 204

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def samples_in(request: bytes) -> Iterator[Sample]:
    """The samples of a ``prometheus.WriteRequest`` (Prometheus remote write 1.0)."""
    for series in members(request, 1):
        labels = dict(_label(pair) for pair in members(series, 1))
        name = labels.pop("__name__")
        for sample in members(series, 2):
            # A value of 0 is not on the wire.
            value = as_bytes(dict(fields_of(sample)).get(1)) or bytes(8)
            yield Sample(name, labels, struct.unpack("<d", value)[0])


def _label(message: bytes) -> tuple[str, str]:
    fields = dict(fields_of(message))
    return as_bytes(fields.get(1)).decode(), as_bytes(fields.get(2)).decode()


def _handler(receiver: RemoteWriteReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(receiver.take(self.path, self.headers["authorization"], body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
