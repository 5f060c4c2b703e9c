"""A receiver of Prometheus remote write 1.0, such as an Azure Monitor workspace."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import cramjam

from e2e.metrics import Sample
from tests.support.certificates import Certificate
from tests.support.loopback_server import LoopbackServer, Reply, Request
from tests.support.protobuf import as_bytes, fields_of, members

PATH = "/dataCollectionRules/dcr-1/streams/Microsoft-PrometheusMetrics/api/v1/write?api-version=2023-04-24"


class RemoteWriteReceiver(LoopbackServer):
    """Keeps every sample that arrives, over TLS; a context manager."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(self._take, certificate)
        self.failures = 0
        """How many requests get 503 before one is accepted."""
        self.turned_away = 0
        self.targets: list[str] = []
        """Path and query of each accepted request."""
        self.authorizations: list[str | None] = []
        self._samples: list[Sample] = []
        self._certificate = certificate

    @property
    def write_url(self) -> str:
        """The URL to write to."""
        return f"{self.url}{PATH}"

    @property
    def trusting_environment(self) -> dict[str, str]:
        """The variables that make the collector trust its certificate."""
        return {"SSL_CERT_FILE": str(self._certificate.pem)}

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """The samples of a name and labels that have arrived so far, in the order of arrival."""
        return [each for each in list(self._samples) if each.name == name and each.has(**labels)]

    @property
    def names(self) -> set[str]:
        """The names of all series that have arrived so far."""
        return {sample.name for sample in list(self._samples)}

    def _take(self, request: Request) -> Reply:
        if self.turned_away < self.failures:
            self.turned_away += 1
            return 503, b"", {}
        # The samples last: a test that waits for one finds the rest there already.
        self.authorizations.append(request.headers.get("authorization"))
        self.targets.append(request.target)
        self._samples.extend(samples_in(bytes(cramjam.snappy.decompress_raw(request.content))))
        return 204, b"", {}


def samples_in(request: bytes) -> Iterator[Sample]:
    """The samples of a ``prometheus.WriteRequest`` (Prometheus remote write 1.0)."""
    for series in members(request, 1):
        labels = dict(_label(pair) for pair in members(series, 1))
        name = labels.pop("__name__")
        for sample in members(series, 2):
            # A value of 0 is not sent.
            value = as_bytes(dict(fields_of(sample)).get(1)) or bytes(8)
            yield Sample(name, labels, struct.unpack("<d", value)[0])


def _label(message: bytes) -> tuple[str, str]:
    fields = dict(fields_of(message))
    return as_bytes(fields.get(1)).decode(), as_bytes(fields.get(2)).decode()
