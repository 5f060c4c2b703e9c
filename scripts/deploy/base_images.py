"""Images of others: those that ours are built on, the collector's and Redis'.

Each is imported into the registry once, and named by its digest from then on. So no build and no new replica
pulls from a public registry, which limits how much it gives. A tag that moves there changes nothing here
until somebody asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.deploy.azure_cli import AzureCli
from scripts.deploy.console import Screen

COLLECTOR = "docker.io/otel/opentelemetry-collector-contrib:0.159.0"
REDIS = "docker.io/library/redis:7.4-alpine"

_ARGUMENT = re.compile(r"^ARG (\w+_IMAGE)=(\S+)$", re.MULTILINE)
_UNKNOWN = "not-imported-yet"


def bases_of(dockerfile: Path) -> dict[str, str]:
    """What a Dockerfile builds on, by argument: `{"UV_IMAGE": "ghcr.io/astral-sh/uv:0.13.9"}`."""
    return dict(_ARGUMENT.findall(dockerfile.read_text(encoding="utf-8")))


@dataclass
class BaseImages:
    """The images in the registry."""

    registry: str
    login_server: str
    az: AzureCli
    screen: Screen
    refresh: bool = False
    """Import each again, so that what its tag names now is used."""
    _digests: dict[str, str] = field(default_factory=dict, init=False, repr=False)

    def reference(self, source: str) -> str:
        """The image in the registry by its digest; by its tag when it is not imported yet."""
        digest = self.digest(source)
        name = f"{self.login_server}/{_name(source)}"
        return f"{name}:{_tag(source)}" if digest == _UNKNOWN else f"{name}@{digest}"

    def digest(self, source: str) -> str:
        """Its digest in the registry, asked for once and again after an import."""
        if source not in self._digests:
            found = self.az.image_digest(self.registry, f"{_name(source)}:{_tag(source)}")
            self._digests[source] = found or _UNKNOWN
        return self._digests[source]

    def has(self, source: str) -> bool:
        """Whether it is in the registry."""
        return self.digest(source) != _UNKNOWN

    def bring(self, sources: Iterable[str]) -> None:
        """Import those of the images that the registry lacks, and with `refresh` all of them."""
        for source in dict.fromkeys(sources):
            if self.has(source) and not self.refresh:
                continue
            image = f"{_name(source)}:{_tag(source)}"
            with self.screen.step(f"importing {source}"):
                self.az.import_image(self.registry, source, image)
            self._digests.pop(source)


def _name(source: str) -> str:
    """`docker.io/library/redis:7.4` is `base/library/redis` in the registry."""
    return f"base/{source.partition('/')[2].rpartition(':')[0]}"


def _tag(source: str) -> str:
    return source.rpartition(":")[2]
