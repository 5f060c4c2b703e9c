"""What is measured, each in a module of its own."""

from e2e.bench.targets.base import Running, Site, Target, site_of
from e2e.bench.targets.gateway import ThisGateway
from e2e.bench.targets.peers import LiteLlm, Portkey, TensorZero
from e2e.bench.targets.plain import Direct, PlainNginx
from e2e.bench.targets.stock import Stock

TARGETS: tuple[Target, ...] = (
    Direct(),
    PlainNginx(),
    Stock(),
    ThisGateway("apisix"),
    ThisGateway("embedded"),
    TensorZero(),
    Portkey(),
    LiteLlm(),
)

__all__ = ["TARGETS", "Running", "Site", "Target", "site_of"]
